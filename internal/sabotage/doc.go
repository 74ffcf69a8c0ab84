// Package sabotage breaks promises on purpose, to show that the torture harness
// would notice.
//
// Code that keeps a guarantee asks, at the place where it does, whether it shall
// fail to:
//
//	if sabotage.On(sabotage.SkipFacets) { … }
//
// In a normal build On and Nth are constants and the compiler leaves such code
// out. Built with -tags sabotage, the program breaks the one promise that
// GRAPHTIDE_SABOTAGE names; without the variable it is sound. A break is put
// where its guarantee lives, and does one wrong thing.
package sabotage

// Env names the variable with the break.
const Env = "GRAPHTIDE_SABOTAGE"

// Break is one promise broken.
type Break string

// The breaks, with what each does.
const (
	// SkipDedupe commits a mutation once more when its key was used.
	SkipDedupe Break = "skip-dedupe"
	// AckBeforeAppend answers before the log has the commits.
	AckBeforeAppend Break = "ack-before-append"
	// SwallowMutation acknowledges one transaction in forty and drops it.
	SwallowMutation Break = "swallow-mutation"
	// SkipFacets settles what was prepared on a state that has changed since.
	SkipFacets Break = "skip-facets"
	// RefuseOnStaleHead takes a refusal for final that a lagging replica gave.
	RefuseOnStaleHead Break = "refuse-on-stale-head"
	// PoisonNeighbours refuses what settles behind a refused one.
	PoisonNeighbours Break = "poison-neighbours"
	// HalfUndo brings a removal back but for one of its edges.
	HalfUndo Break = "half-undo"
	// UndoOverLater undoes what others have changed since, and their changes.
	UndoOverLater Break = "undo-over-later"
	// HalfMigration leaves one object out of what a new schema maps.
	HalfMigration Break = "half-migration"
	// LoseChange writes all of a commit to the database but its last change.
	LoseChange Break = "lose-change"
	// LoseHints hears of no commit of another node.
	LoseHints Break = "lose-hints"
	// IgnoreMinVersion answers reads from whatever version the node is at.
	IgnoreMinVersion Break = "ignore-min-version"
	// SkipDelta publishes one delta in fifty to nobody.
	SkipDelta Break = "skip-delta"
	// HalfVersion publishes one half of a version before the other.
	HalfVersion Break = "half-version"
	// AckEarly answers a session before its views have reached the version.
	AckEarly Break = "ack-early"
	// AckFastest answers a session once the first of its views has reached the version.
	AckFastest Break = "ack-fastest"
	// LooseWindow keeps in a window what has moved to a place before its beginning.
	LooseWindow Break = "loose-window"
	// EarlyBookmark says that a version was sent which is yet to come.
	EarlyBookmark Break = "early-bookmark"
	// ResumeOffByOne resumes from the version after the one that is held.
	ResumeOffByOne Break = "resume-off-by-one"
	// ResumeRepeats sends what a client that comes back has already.
	ResumeRepeats Break = "resume-repeats"
	// TrustOldEpoch builds on what was held in another epoch.
	TrustOldEpoch Break = "trust-old-epoch"
	// ForgetRevocation does not tell who comes back what may no longer be read.
	ForgetRevocation Break = "forget-revocation"
	// StaleBeforeImage takes the last state before a commit for the first.
	StaleBeforeImage Break = "stale-before-image"
	// MisMerge leaves a change out where several become one.
	MisMerge Break = "mis-merge"
	// MistellLeaving says of whatever leaves a view that it is not reached any more.
	MistellLeaving Break = "mistell-leaving"
	// LoseRun has the rules not run for one commit in ten that they are about.
	LoseRun Break = "lose-run"
	// SkipFirstCheck lets everything through the first check of rights.
	SkipFirstCheck Break = "skip-first-check"
	// SkipBothChecks lets everything through both.
	SkipBothChecks Break = "skip-both-checks"
)

// Breaks are all of them, in the order of the flow.
var Breaks = []Break{
	SkipDedupe, AckBeforeAppend, SwallowMutation, SkipFacets, RefuseOnStaleHead, PoisonNeighbours, HalfUndo, UndoOverLater, HalfMigration, LoseChange,
	LoseHints, IgnoreMinVersion,
	SkipDelta, HalfVersion, AckEarly, AckFastest, LooseWindow, EarlyBookmark, ResumeOffByOne, ResumeRepeats, TrustOldEpoch, ForgetRevocation, StaleBeforeImage, MisMerge, MistellLeaving,
	LoseRun, SkipFirstCheck, SkipBothChecks,
}
