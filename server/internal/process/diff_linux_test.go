package process

import (
	"os"
	"strconv"
	"testing"
)

// TestRecordThatIsReplacedIsFound has the record twice, as for a moment while it is replaced: the
// new one is not complete, and may be found first.
func TestRecordThatIsReplacedIsFound(t *testing.T) {
	// not parallel: this process publishes one record
	partial, err := publish([]byte(`{"settings":[`))
	must(t, err)
	defer partial.Close()
	if _, err := FindRunning(strconv.Itoa(os.Getpid())); err == nil {
		t.Error("a record that is not complete is read")
	}
	p := NewSettingsRecord()
	defer p.Close()
	p.Publish([]Setting{plainSetting("1", true)}, Listening{})
	if _, err := FindRunning(strconv.Itoa(os.Getpid())); err != nil {
		t.Error(err)
	}
}
