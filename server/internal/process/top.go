package process

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"time"

	"gnatsd/conf"
)

// This file is `--top URL`: what a server does, in a terminal, again and again. It reads the pages
// of the monitoring port as any program can.

const (
	topInterval = 2 * time.Second
	topTimeout  = 10 * time.Second
	// topOnce is for how long rates are measured where there is to be one picture. The server
	// measures those of clients for a second at least.
	topOnce = 1100 * time.Millisecond
	// topRows is how many clients and how many subjects are shown.
	topRows = 10
	// maxTopPage bounds the bytes of a page.
	maxTopPage = 8 << 20
)

// Top shows the server whose monitoring port has the URL until it is interrupted, or count times if
// that is positive. On a terminal one picture takes the place of the one before. It returns why the
// server cannot be asked.
func Top(text string, count int, stdout io.Writer) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	t, err := newTop(text)
	if err != nil {
		return err
	}
	err = t.run(ctx, count, IsTerminal(stdout), stdout, topInterval)
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// top is a server that is asked.
type top struct {
	base   *url.URL
	client *http.Client
	last   *topVarz // nil before the first
}

// newTop checks the URL of a monitoring port. Its scheme may be left out.
func newTop(text string) (*top, error) {
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	base, err := url.Parse(text)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return nil, errors.New("--top needs the URL of a monitoring port, such as http://127.0.0.1:8222")
	}
	return &top{base: base, client: &http.Client{Timeout: topTimeout}}, nil
}

// What is used of the pages.
type topVarz struct {
	Name        string    `json:"server_name"`
	Version     string    `json:"version"`
	Now         time.Time `json:"now"`
	Uptime      string    `json:"uptime"`
	Connections int       `json:"connections"`
	CPU         float64   `json:"cpu"`
	Mem         int64     `json:"mem"`
	Slow        int64     `json:"slow_consumers"`
	Pending     int64     `json:"pending_bytes"`
	InMsgs      int64     `json:"in_msgs"`
	OutMsgs     int64     `json:"out_msgs"`
	InBytes     int64     `json:"in_bytes"`
	OutBytes    int64     `json:"out_bytes"`
}

type topStatusz struct {
	Conditions []struct{ Severity, Text string } `json:"conditions"`
}

type topConnz struct {
	Connections []struct {
		Cid     uint64 `json:"cid"`
		IP      string `json:"ip"`
		Port    int    `json:"port"`
		Name    string `json:"name"`
		Pending int64  `json:"pending_bytes"`
		Subs    int    `json:"subscriptions"`
		Rates   *struct {
			InMsgs   float64 `json:"in_msgs"`
			OutMsgs  float64 `json:"out_msgs"`
			InBytes  float64 `json:"in_bytes"`
			OutBytes float64 `json:"out_bytes"`
		} `json:"rates"`
	} `json:"connections"`
}

type topSubjectz struct {
	Subjects []struct {
		Subject     string  `json:"subject"`
		Msgs        float64 `json:"msgs_rate"`
		Bytes       float64 `json:"bytes_rate"`
		Fanout      float64 `json:"fanout"`
		NoReceivers float64 `json:"no_receivers_rate"`
		TopClient   string  `json:"top_client"`
	} `json:"subjects"`
}

// run shows pictures until ctx ends, or count of them. The first of several has no rates yet.
func (t *top) run(ctx context.Context, count int, terminal bool, out io.Writer, interval time.Duration) error {
	if count == 1 {
		if err := t.measure(ctx, min(interval, topOnce)); err != nil {
			return err
		}
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for n := 1; ; n++ {
		picture, err := t.picture(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return err
		}
		if terminal {
			picture = "\x1b[H\x1b[2J" + picture // to the top left, and clear
		} else if n > 1 {
			picture = "\n" + picture
		}
		if _, err := io.WriteString(out, picture); err != nil {
			return err
		}
		if n == count {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// measure has the next picture show rates, over some time.
func (t *top) measure(ctx context.Context, over time.Duration) error {
	if _, err := t.picture(ctx); err != nil {
		return err
	}
	timer := time.NewTimer(over)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// page reads a page.
func (t *top) page(ctx context.Context, path string, to any) error {
	u := *t.base
	u.Path = strings.TrimSuffix(u.Path, "/")
	u.User = nil
	request, err := http.NewRequestWithContext(ctx, "GET", u.String()+"/"+path, nil)
	if err != nil {
		return fmt.Errorf("ask for %s: %w", path, err)
	}
	if login := t.base.User; login != nil {
		password, _ := login.Password()
		request.SetBasicAuth(login.Username(), password)
	}
	answer, err := t.client.Do(request)
	if err != nil {
		return fmt.Errorf("ask the server: %w", err)
	}
	defer answer.Body.Close()
	switch {
	case answer.StatusCode == http.StatusUnauthorized:
		return errors.New("the server asks for a login: http://USER:PASSWORD@HOST:PORT")
	case answer.StatusCode != http.StatusOK:
		return fmt.Errorf("the server answers %s with %s", path, answer.Status)
	}
	if err := json.NewDecoder(io.LimitReader(answer.Body, maxTopPage)).Decode(to); err != nil {
		return fmt.Errorf("what the server answers is not %s: %w", path, err)
	}
	return nil
}

// picture asks the server and returns what is to be shown.
func (t *top) picture(ctx context.Context) (string, error) {
	var v topVarz
	var status topStatusz
	var conns topConnz
	var subjects topSubjectz
	for _, p := range []struct {
		path string
		to   any
	}{
		{"varz", &v}, {"statusz", &status},
		{fmt.Sprintf("connz?sort=rate&rates=1&limit=%d", topRows), &conns},
		{fmt.Sprintf("subjectz?limit=%d", topRows), &subjects},
	} {
		if err := t.page(ctx, p.path, p.to); err != nil {
			return "", err
		}
	}
	var b strings.Builder
	t.head(&b, &v, &status)
	fmt.Fprintf(&b, "\n%8s  %-28s %-22s %6s %9s %10s %10s %11s %11s\n", "CID", "CLIENT", "ADDRESS", "SUBS", "PENDING", "MSGS IN/s", "MSGS OUT/s", "BYTES IN/s", "BYTES OUT/s")
	for _, c := range conns.Connections {
		in, out, inBytes, outBytes := "-", "-", "-", "-"
		if r := c.Rates; r != nil {
			in, out, inBytes, outBytes = topNumber(r.InMsgs), topNumber(r.OutMsgs), topSize(r.InBytes), topSize(r.OutBytes)
		}
		fmt.Fprintf(&b, "%8d  %-28s %-22s %6d %9s %10s %10s %11s %11s\n", c.Cid, topText(c.Name, 28), topText(fmt.Sprintf("%s:%d", c.IP, c.Port), 22), c.Subs, topSize(float64(c.Pending)), in, out, inBytes, outBytes)
	}
	fmt.Fprintf(&b, "\n%10s %11s %8s %12s  %-24s %s\n", "MSGS/s", "BYTES/s", "FAN-OUT", "NO RECEIVER", "CLIENT", "SUBJECT")
	for _, s := range subjects.Subjects {
		fmt.Fprintf(&b, "%10s %11s %8.1f %12s  %-24s %s\n", topNumber(s.Msgs), topSize(s.Bytes), s.Fanout, topNumber(s.NoReceivers), topText(s.TopClient, 24), topText(s.Subject, 60))
	}
	return b.String(), nil
}

// head writes the lines about the server, and what is not well.
func (t *top) head(b *strings.Builder, v *topVarz, status *topStatusz) {
	fmt.Fprintf(b, "%s  version %s  up %s  CPU %.1f%%  memory %s  connections %d  pending %s  slow consumers %d\n",
		topText(v.Name, 40), topText(v.Version, 20), topText(v.Uptime, 20), v.CPU, topSize(float64(v.Mem)), v.Connections, topSize(float64(v.Pending)), v.Slow)
	in, out, inBytes, outBytes := "-", "-", "-", "-"
	if last := t.last; last != nil && v.Now.After(last.Now) {
		seconds := v.Now.Sub(last.Now).Seconds()
		rate := func(now, then int64) float64 { return max(0, float64(now-then)/seconds) }
		in, out = topNumber(rate(v.InMsgs, last.InMsgs)), topNumber(rate(v.OutMsgs, last.OutMsgs))
		inBytes, outBytes = topSize(rate(v.InBytes, last.InBytes)), topSize(rate(v.OutBytes, last.OutBytes))
	}
	t.last = v
	fmt.Fprintf(b, "in %s msgs/s, %s/s  out %s msgs/s, %s/s\n", in, inBytes, out, outBytes)
	if len(status.Conditions) == 0 {
		b.WriteString("All well\n")
	}
	for _, c := range status.Conditions {
		fmt.Fprintf(b, "%s: %s\n", topText(c.Severity, 10), topText(c.Text, 140))
	}
}

// topText returns a text that others chose for a terminal, which must not act on it: without
// characters that do not show, and cut.
func topText(text string, most int) string {
	runes := []rune(conf.Printable(text))
	if len(runes) > most {
		runes = append(runes[:most-1], '…')
	}
	return string(runes)
}

// topNumber returns a number in about three digits.
func topNumber(n float64) string { return topScaled(n, 1000, "", "k", "M", "G") }

// topSize returns a number of bytes in about three digits.
func topSize(n float64) string { return topScaled(n, 1024, "B", "K", "M", "G", "T") }

func topScaled(n, step float64, units ...string) string {
	i := 0
	for n >= step && i < len(units)-1 {
		n, i = n/step, i+1
	}
	if i == 0 || n >= 100 {
		return fmt.Sprintf("%.0f%s", n, units[i])
	}
	return fmt.Sprintf("%.1f%s", n, units[i])
}
