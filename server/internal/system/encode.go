package system

import (
	"encoding/json"
	"strconv"
	"time"
)

// This file encodes events about clients. There may be thousands of them a second, and encoding/json
// took three fourths of the time of each.

// appendEvent appends the event about a client in JSON. id is that of the event.
func (e *event) appendEvent(b []byte, id string, server *ServerInfo) []byte {
	b = appendText(append(b, `{"type":`...), e.kind)
	b = appendText(append(b, `,"id":`...), id)
	b = appendTime(append(b, `,"timestamp":`...), e.at)
	b = server.append(append(b, `,"server":`...))
	b = e.Client.append(append(b, `,"client":`...))
	if e.kind == typeDisconnect {
		b = e.Sent.append(append(b, `,"sent":`...))
		b = e.Received.append(append(b, `,"received":`...))
		b = appendText(append(b, `,"reason":`...), e.Reason)
	}
	return append(b, '}')
}

// append appends it in JSON.
func (s *ServerInfo) append(b []byte) []byte {
	b = appendText(append(b, `{"name":`...), s.Name)
	b = appendText(append(b, `,"host":`...), s.Host)
	b = appendText(append(b, `,"id":`...), s.ID)
	b = appendSome(b, `,"cluster":`, s.Cluster)
	b = appendText(append(b, `,"ver":`...), s.Version)
	b = strconv.AppendBool(append(b, `,"jetstream":`...), s.JetStream)
	b = strconv.AppendUint(append(b, `,"flags":`...), s.Flags, 10)
	b = strconv.AppendUint(append(b, `,"seq":`...), s.Seq, 10)
	b = appendTime(append(b, `,"time":`...), s.Time)
	return append(b, '}')
}

// append appends it in JSON.
func (c *ClientInfo) append(b []byte) []byte {
	b = appendTime(append(b, `{"start":`...), c.Start)
	b = appendText(append(b, `,"host":`...), c.Host)
	b = strconv.AppendUint(append(b, `,"id":`...), c.ID, 10)
	b = appendText(append(b, `,"acc":`...), c.Account)
	b = appendSome(b, `,"user":`, c.User)
	b = appendSome(b, `,"name":`, c.Name)
	b = appendSome(b, `,"lang":`, c.Lang)
	b = appendSome(b, `,"ver":`, c.Version)
	if c.RTT != 0 {
		b = strconv.AppendInt(append(b, `,"rtt":`...), int64(c.RTT), 10)
	}
	if c.Stop != nil {
		b = appendTime(append(b, `,"stop":`...), *c.Stop)
	}
	b = appendText(append(b, `,"name_tag":`...), c.NameTag)
	b = appendText(append(b, `,"kind":`...), c.Kind)
	b = appendText(append(b, `,"client_type":`...), c.Type)
	return append(b, '}')
}

// append appends it in JSON.
func (t *Traffic) append(b []byte) []byte {
	b = strconv.AppendInt(append(b, `{"msgs":`...), t.Msgs, 10)
	b = strconv.AppendInt(append(b, `,"bytes":`...), t.Bytes, 10)
	return append(b, '}')
}

// appendSome appends a key with its text, or nothing if that is empty.
func appendSome(b []byte, key, text string) []byte {
	if text == "" {
		return b
	}
	return appendText(append(b, key...), text)
}

// appendText appends a text in quotes. encoding/json escapes what clients have chosen freely.
func appendText(b []byte, text string) []byte {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			quoted, _ := json.Marshal(text) // a string never fails
			return append(b, quoted...)
		}
	}
	return append(append(append(b, '"'), text...), '"')
}

func appendTime(b []byte, t time.Time) []byte {
	return append(t.AppendFormat(append(b, '"'), time.RFC3339Nano), '"')
}
