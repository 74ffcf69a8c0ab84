//go:build race

package main

// raceFlag builds the program as the tests are built, so that its own races are
// found too.
const raceFlag = "-race"
