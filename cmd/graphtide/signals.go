package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// onSignals gives a context that ends with the first signal to end, and one that
// ends with the second. A closed terminal (SIGHUP) is such a signal, unless
// nohup or its like has us ignore it.
func onSignals() (first, second context.Context) {
	first, end := context.WithCancel(context.Background())
	second, cut := context.WithCancel(context.Background())
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		signals = append(signals, syscall.SIGHUP)
	}
	got := make(chan os.Signal, 2) // further ones say nothing new
	signal.Notify(got, signals...)
	go func() {
		<-got
		end()
		<-got
		cut()
	}()
	return first, second
}
