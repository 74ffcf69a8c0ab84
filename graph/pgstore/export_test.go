package pgstore

// Failed is failed, for the tests.
var Failed = failed
