// Package archive writes a graph as JSON Lines, and reads it into another one.
//
//	{"graphtide":1,"graph":"main","epoch":"…","version":7,"history":true,"floor":0,"schemaVersion":3,"schema":{…}}
//	{"mark":{"version":1,…}}                 with history, as far as a compaction forgot what commits did
//	{"object":{"id":"…","type":…,"body":…,"access":…,"meta":{…}}}
//	{"edge":{"id":"…","label":…,"from":…,"to":…,"body":…,"meta":{…}}}
//	{"commit":{"version":2,…,"asked":[…],"done":[…]}}  with history, the log from the floor on
//	{"key":{"author":…,"mutation":…,"version":…,"hash":…,"cause":…}}  with history: of a transaction without effect
//	{"end":{"marks":0,"objects":2,"edges":1,"commits":7}}
//
// Without history the objects and edges are the present ones, with it those at
// the floor: the log leads on from there. Objects and edges come in the order of
// their ids, commits in that of their versions, so two archives of one state are
// the same but for the first line. An archive is written and read as it streams;
// reading one with history keeps the living entities in memory.
//
// Reading is whole or nothing: the graph is filled out of sight and appears when
// the last line has been read and everything judged. A fault names its line. The
// text is taken for a stranger's: strict JSON, no field that is not known, ids,
// access, order, counts and the references between lines are checked.
//
// What an import keeps. With history: the log as it was, with versions, times,
// authors, keys and causes, under a new epoch and the schema version of here.
// Without: ids, types, bodies, access, ends, and when and by whom entities were
// made; they are written by commits of cause `import`, whose version, time and
// author they have as those of the last change. What cannot stay as it was
// (Options.Mend) is changed by one more such commit. What a compaction removed is not
// in an archive; ids that were deleted below the floor can be taken again.
package archive
