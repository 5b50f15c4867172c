package process

import (
	"io"
	"os"
)

// IsTerminal reports whether what is written to w is seen at once, on a terminal that understands
// escape sequences.
func IsTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && escapes(f)
}
