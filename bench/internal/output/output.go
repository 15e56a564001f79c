// Package output writes what a program has measured.
package output

import (
	"encoding/json"
	"io"
	"os"
)

// Write writes text to stdout and, if file is not empty, v to it as JSON. A file called "-"
// is stdout, which gets no text then.
func Write(v any, text, file string, stdout io.Writer) error {
	if file != "-" {
		if _, err := io.WriteString(stdout, text); err != nil {
			return err
		}
	}
	if file == "" {
		return nil
	}
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	data = append(data, '\n')
	if file != "-" {
		return os.WriteFile(file, data, 0o644)
	}
	_, err = stdout.Write(data)
	return err
}
