package main

import (
	"fmt"
	"runtime/debug"
)

// version gives the module's version, or the revision it was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return "devel-" + s.Value[:12]
		}
	}
	return "devel"
}

func (versionCmd) Run(a *app) error {
	_, err := fmt.Fprintln(a.stdout, "graphtide", version())
	return err
}
