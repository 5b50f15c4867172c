package system

import (
	"encoding/json"
	"math/rand/v2"
	"testing"
	"time"
)

// connectEvent is what the event CONNECT says.
type connectEvent struct {
	advisory
	Client *ClientInfo `json:"client"`
}

// disconnectEvent is what the events DISCONNECT and CLIENT.AUTH.ERR say.
type disconnectEvent struct {
	advisory
	Client   *ClientInfo `json:"client"`
	Sent     Traffic     `json:"sent"`
	Received Traffic     `json:"received"`
	Reason   string      `json:"reason"`
}

// TestEventsAreWhatTheJSONLibraryMakesOfThem compares random ones.
func TestEventsAreWhatTheJSONLibraryMakesOfThem(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	texts := []string{"", "a", "visit 1", `quoted " and \`, "<script>&", "\x00\r\n\t\x7f", "häß", "\xff\xfe", "\u2028", "日本"}
	text := func() string { return texts[r.IntN(len(texts))] + texts[r.IntN(len(texts))] }
	at := func() time.Time {
		return time.Unix(r.Int64N(4e9), []int64{0, 1, 1000, 123456789, 120000000}[r.IntN(5)]).UTC()
	}
	traffic := func() Traffic { return Traffic{r.Int64N(3) * r.Int64(), r.Int64()} }
	for range 3000 {
		server := &ServerInfo{text(), text(), text(), text(), text(), r.IntN(2) == 0, r.Uint64(), r.Uint64(), at()}
		e := &event{kind: typeConnect, at: at(), Departure: Departure{Sent: traffic(), Received: traffic(), Reason: text(), Client: ClientInfo{
			at(), text(), r.Uint64(), text(), text(), text(), text(), text(), time.Duration(r.Int64N(2) * r.Int64()), nil, text(), text(), text(),
		}}}
		head := advisory{Type: e.kind, ID: text(), Time: e.at, Server: server}
		var obvious any = &connectEvent{head, &e.Client}
		if stop := at(); r.IntN(2) == 0 {
			e.kind, e.Client.Stop = typeDisconnect, &stop
			head.Type = e.kind
			obvious = &disconnectEvent{head, &e.Client, e.Sent, e.Received, e.Reason}
		}
		want, err := json.Marshal(obvious)
		if err != nil {
			t.Fatal(err)
		}
		if got := e.appendEvent(nil, head.ID, server); string(got) != string(want) {
			t.Fatalf("got  %s\nwant %s", got, want)
		}
	}
}
