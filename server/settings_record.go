package server

import (
	"crypto/rand"
	"encoding/json"
	"fmt"

	"gnatsd/conf"
)

// settingsRecord is what a running server tells of its settings to `gnatsd --diff`.
// There are no secrets in it: those are told apart by digests only.
type settingsRecord struct {
	Key  []byte                 `json:"key"` // of the digests; another for each record
	Rows map[string]recordedRow `json:"rows"`
}

// recordedRow is the value of one row.
type recordedRow struct {
	Value  string `json:"value"` // as in a file, secrets hidden
	Digest string `json:"digest"`
	Chosen bool   `json:"chosen"` // a file, a flag or a program has set it
}

// newSettingsRecord makes the record of o.
func newSettingsRecord(o *Options) *settingsRecord {
	r := &settingsRecord{Key: make([]byte, 32), Rows: map[string]recordedRow{}}
	rand.Read(r.Key) // never fails
	for _, row := range optionTable().Rows() {
		if row.HoldsValue() && row.Key != "" {
			r.Rows[row.Key] = recordedRow{row.Shown(o), row.Digest(o, r.Key), o.chosen(row)}
		}
	}
	return r
}

// settingsDifference is a row that has another value than in a record.
type settingsDifference struct {
	row      *row
	old, new string      // as in a file, secrets hidden
	from     conf.Origin // of the new value
}

// String is the line about it.
func (d settingsDifference) String() string {
	if d.old == d.new {
		return fmt.Sprintf("%s: changed, to %s (%s)", d.row.Key, d.new, d.from)
	}
	return fmt.Sprintf("%s: %s -> %s (%s)", d.row.Key, orNothing(d.old), orNothing(d.new), d.from)
}

func orNothing(text string) string {
	if text == "" {
		return "nothing"
	}
	return text
}

// differences lists the rows of o that are not as in the record.
func (r *settingsRecord) differences(o *Options) (list []settingsDifference) {
	for _, row := range optionTable().Rows() {
		old, known := r.Rows[row.Key]
		if !known || !old.Chosen && !o.chosen(row) || row.Digest(o, r.Key) == old.Digest {
			continue
		}
		list = append(list, settingsDifference{row, old.Value, row.Shown(o), o.loaded.values.Origin(row.Key)})
	}
	return list
}

// encode writes the record.
func (r *settingsRecord) encode() []byte {
	text, err := json.Marshal(r)
	if err != nil {
		panic("settings cannot be encoded: " + err.Error()) // no field can fail
	}
	return text
}

// decodeSettingsRecord reads a record.
func decodeSettingsRecord(text []byte) (*settingsRecord, error) {
	r := &settingsRecord{}
	if err := json.Unmarshal(text, r); err != nil {
		return nil, fmt.Errorf("read the settings of the server: %w", err)
	}
	return r, nil
}
