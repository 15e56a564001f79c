package proc

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
)

// Measured runs a program that prints a line when it is ready, goes on when it is sent
// one, prints a result as JSON on one line, and ends when its input does. around is called
// when it is ready, and has to call the function it gets: that has the program go on, and
// returns when the result is there and the program still is.
func Measured(ctx context.Context, program string, args []string, cpu int, result any, around func(pid int, run func() error) error) error {
	cmd := exec.CommandContext(ctx, program, args...)
	var said strings.Builder
	cmd.Stderr = &said
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := Start(cmd, cpu); err != nil {
		return err
	}
	lines := bufio.NewReader(out)
	if _, err = lines.ReadString('\n'); err == nil {
		err = around(cmd.Process.Pid, func() error {
			if _, err := fmt.Fprintln(in); err != nil {
				return err
			}
			line, err := lines.ReadString('\n')
			if err != nil {
				return err
			}
			return json.Unmarshal([]byte(line), result)
		})
	}
	in.Close()
	if ended := cmd.Wait(); ended != nil {
		return fmt.Errorf("load: %w: %s", cmp.Or(ctx.Err(), ended), strings.TrimSpace(said.String()))
	}
	return err
}
