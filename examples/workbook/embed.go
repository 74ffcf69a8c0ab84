// Package workbook is the example that `graphtide dev` runs where no schema is
// named: its schema, its handlers and, once `make example` has built them, its
// pages.
package workbook

import "embed"

// SiteDir is where the built pages are; without them it does not exist.
const SiteDir = "site/dist"

// DataFile is what a handler imports; the same step makes it.
const DataFile = "handlers/airports.data.json"

// Files are app.yaml, handlers and site.
//
//go:embed app.yaml all:handlers all:site
var Files embed.FS
