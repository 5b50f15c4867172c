package process

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// This file is `--health`: whether a server on this machine works, for the health check of a
// container. It needs no settings of its own: the server publishes where it listens, see diff.go.

const (
	// healthTimeout bounds the whole check. It is below the time limits that health checks have.
	healthTimeout = 4 * time.Second
	// infoTimeout is how long INFO may take before TLS is tried: a port whose clients begin with
	// a handshake sends it afterwards, or after a moment.
	infoTimeout = 200 * time.Millisecond
	// maxHealthAnswer bounds what is read of an answer, in bytes.
	maxHealthAnswer = 64 << 10
)

// Listening is where a server listens, as URLs.
type Listening struct {
	Monitoring []string `json:"monitoring,omitempty"` // with the base path
	Clients    []string `json:"clients,omitempty"`
}

// Health asks a server whether it works: its monitoring port if it has one, else the port for
// clients. target is that of --diff. It returns what the server says, or why it is not healthy. A
// server in lame duck mode is: it does what it was told to, and is not to be restarted meanwhile.
func Health(target string) (string, error) {
	running, err := FindRunning(target)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), healthTimeout)
	defer cancel()
	at := running.record.Listening
	if base := loopbackFirst(at.Monitoring); base != "" {
		answer, err := askHealthz(ctx, base)
		if _, refused := errors.AsType[*tls.CertificateVerificationError](err); !refused && !isAlert(err) {
			return answer, err
		}
		// It wants a certificate of its clients.
	}
	if address := loopbackFirst(at.Clients); address != "" {
		return askClientPort(ctx, address)
	}
	return "", fmt.Errorf("%s listens on no port", running.name)
}

// loopbackFirst returns the URL of a loopback address if there is one, else the first, "" if there
// are none.
func loopbackFirst(urls []string) string {
	for _, text := range urls {
		if u, err := url.Parse(text); err == nil && net.ParseIP(u.Hostname()).IsLoopback() {
			return text
		}
	}
	if len(urls) > 0 {
		return urls[0]
	}
	return ""
}

// ownServer is for connections to a server whose address it has published itself. Its certificate
// need not have the name of a loopback address, and it is told no secret.
var ownServer = &tls.Config{InsecureSkipVerify: true}

// isAlert reports whether a server has refused a handshake.
func isAlert(err error) bool {
	_, alert := errors.AsType[tls.AlertError](err)
	if operation, ok := errors.AsType[*net.OpError](err); ok && operation.Op == "remote error" {
		return true
	}
	return alert
}

// askHealthz asks /healthz of a monitoring port.
func askHealthz(ctx context.Context, base string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(base, "/")+"/healthz", nil)
	if err != nil {
		return "", err
	}
	client := http.Client{Transport: &http.Transport{TLSClientConfig: ownServer, DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	var answer struct{ Status, Error, Note string }
	if err := json.NewDecoder(io.LimitReader(response.Body, maxHealthAnswer)).Decode(&answer); err != nil {
		return "", fmt.Errorf("%s: %s", request.URL, response.Status)
	}
	switch {
	case strings.Contains(answer.Error, LameDuck):
		return answer.Error, nil
	case response.StatusCode != http.StatusOK:
		return "", errors.New(answer.Error)
	case answer.Note != "":
		return answer.Status + ": " + answer.Note, nil
	}
	return answer.Status, nil
}

// LameDuck is what a server says of itself in lame duck mode.
const LameDuck = "lame duck mode"

// askClientPort looks whether a port for clients is served: it sends INFO, or takes part in a
// handshake.
func askClientPort(ctx context.Context, address string) (string, error) {
	u, err := url.Parse(address)
	if err != nil {
		return "", err
	}
	if err = readInfo(ctx, u); err != nil && u.Scheme == "tls" {
		err = handshake(ctx, u)
	}
	if err != nil {
		return "", fmt.Errorf("port for clients: %w", err)
	}
	return "ok", nil
}

// readInfo connects, and waits for INFO.
func readInfo(ctx context.Context, u *url.URL) error {
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", u.Host)
	if err != nil {
		return err
	}
	defer c.Close()
	wait, _ := ctx.Deadline()
	if u.Scheme == "tls" {
		wait = time.Now().Add(infoTimeout)
	}
	c.SetReadDeadline(wait)
	line, err := bufio.NewReader(io.LimitReader(c, maxHealthAnswer)).ReadString(' ')
	if err == nil && line != "INFO " {
		return fmt.Errorf("got %q, not INFO", line)
	}
	return err
}

// handshake connects, and begins with TLS. Any answer will do: a server that hangs sends none.
func handshake(ctx context.Context, u *url.URL) error {
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", u.Host)
	if err != nil {
		return err
	}
	defer c.Close()
	err = tls.Client(c, ownServer).HandshakeContext(ctx)
	if _, plain := errors.AsType[tls.RecordHeaderError](err); plain || isAlert(err) {
		return nil
	}
	return err
}
