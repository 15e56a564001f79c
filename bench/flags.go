package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
)

// usageError is a mistake in the arguments, as opposed to a failed measurement.
type usageError struct{ error }

func usagef(format string, args ...any) error {
	return usageError{fmt.Errorf(format, args...)}
}

// newFlags returns an empty flag set; parseFlags prints about and the flags when
// help is asked for.
func newFlags() *flag.FlagSet {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // mistakes are reported once, by run
	return flags
}

func parseFlags(flags *flag.FlagSet, args []string, about string, help io.Writer) error {
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(help, about, "\nFlags:\n")
		flags.SetOutput(help)
		flags.PrintDefaults()
		return err
	case err != nil:
		return usageError{err}
	case flags.NArg() > 0:
		return usagef("unexpected argument %q", flags.Arg(0))
	}
	return nil
}

// wasSet reports whether a flag was given explicitly.
func wasSet(flags *flag.FlagSet, name string) bool {
	set := false
	flags.Visit(func(f *flag.Flag) { set = set || f.Name == name })
	return set
}

// splitList splits a comma list and drops blanks; "" is an empty list.
func splitList(text string) []string {
	var list []string
	for item := range strings.SplitSeq(text, ",") {
		if item = strings.TrimSpace(item); item != "" {
			list = append(list, item)
		}
	}
	return list
}
