package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// control is how a run is followed. With -wait that is done by a program: it is told when
// the load is ready, says when to go on, gets the result, and says when to end.
type control struct {
	stdin          *bufio.Reader
	stdout, stderr io.Writer
}

// Ready is the line that says that the connections are open, and warm.
const Ready = "ready"

// ready waits until the load may begin.
func (c control) ready(o *options) error {
	if !o.wait {
		return nil
	}
	if _, err := fmt.Fprintln(c.stdout, Ready); err != nil {
		return err
	}
	if _, err := c.stdin.ReadString('\n'); err != nil {
		return fmt.Errorf("waiting to go on: %w", err)
	}
	return nil
}

// report reports a result, and returns what was wrong with it.
func (c control) report(o *options, r *result) error {
	if !o.wait {
		if err := r.report(o, c.stdout); err != nil {
			return err
		}
		return r.err()
	}
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(c.stdout, "%s\n", data); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, c.stdin)
	return errors.Join(err, r.err())
}
