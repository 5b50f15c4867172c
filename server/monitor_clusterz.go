package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"gnatsd/server/internal/monitor"
)

// This file asks the other servers of the cluster what is not well there. A browser that shows the
// page of one server may not read those of others, so the server asks for it: only the address that
// the route has, only for /statusz, without a login.

// Clusterz is the page /clusterz: what the servers of the cluster say of themselves.
type Clusterz struct {
	ID      string          `json:"server_id"`
	Now     time.Time       `json:"now"` // when the others were asked
	Servers []ClusterServer `json:"servers"`
}

// ClusterServer is a server on the page /clusterz.
type ClusterServer struct {
	ID         string      `json:"server_id"`
	Name       string      `json:"server_name"`
	MonitorURL string      `json:"monitor_url,omitempty"`
	Status     Severity    `json:"status,omitempty"`
	Conditions []Condition `json:"conditions,omitempty"`
	Error      string      `json:"error,omitempty"` // why it could not be asked
}

// ClusterzOptions are the parameters of [Server.Clusterz]. There are none.
type ClusterzOptions struct{}

func clusterzOptions(*monitor.Params) *ClusterzOptions { return nil }

func (z *Clusterz) encode(w io.Writer, f monitor.Form) error { return monitor.Encode(w, f, z) }

const (
	// askTimeout bounds the time for an answer of another server.
	askTimeout = 2 * time.Second
	// askInterval is for how long the answers are used again, however many look at the page.
	askInterval = 2 * time.Second
	// maxStatus bounds the bytes of an answer.
	maxStatus = 64 << 10
	// maxAsked bounds the servers that are asked at a time.
	maxAsked = 16
)

// Clusterz returns the page /clusterz. The options may be nil. The error is always nil.
func (s *Server) Clusterz(*ClusterzOptions) (*Clusterz, error) {
	s.askingPeers.begin()
	defer s.askingPeers.end()
	if last := s.lastClusterz.Load(); last != nil && time.Since(last.Now) < askInterval {
		return last, nil
	}
	z := &Clusterz{ID: s.id, Servers: []ClusterServer{s.ownStatus()}}
	seen := map[string]bool{s.id: true}
	for _, r := range s.cluster.routeStates() {
		if !seen[r.remoteID] {
			seen[r.remoteID] = true
			z.Servers = append(z.Servers, ClusterServer{ID: r.remoteID, Name: r.remoteName, MonitorURL: r.monitorURL})
		}
	}
	s.askPeers(z.Servers[1:])
	z.Now = time.Now().UTC()
	s.lastClusterz.Store(z)
	return z, nil
}

func (s *Server) ownStatus() ClusterServer {
	z, _ := s.Statusz(nil) // never fails
	return ClusterServer{ID: z.ID, Name: z.ServerName, Status: z.Status, Conditions: z.Conditions}
}

// askPeers asks servers for their status, several at a time.
func (s *Server) askPeers(list []ClusterServer) {
	ctx, cancel := context.WithTimeout(s.ctx, askTimeout)
	defer cancel()
	c := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true}, // and no proxy: the others are near
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	slots := make(chan struct{}, maxAsked)
	var all sync.WaitGroup
	for i := range list {
		all.Go(func() { // ends with ctx at the latest
			slots <- struct{}{}
			defer func() { <-slots }()
			one := &list[i]
			if err := one.ask(ctx, c); err != nil {
				one.Status, one.Conditions, one.Error = "", nil, err.Error()
			}
		})
	}
	all.Wait()
}

// ask asks the server for its status.
func (one *ClusterServer) ask(ctx context.Context, c *http.Client) error {
	if one.MonitorURL == "" {
		return errors.New("it has no monitoring port that can be reached from here")
	}
	request, err := http.NewRequestWithContext(ctx, "GET", strings.TrimSuffix(one.MonitorURL, "/")+"/statusz", nil)
	if err != nil {
		return fmt.Errorf("ask it: %w", err)
	}
	answer, err := c.Do(request)
	if err != nil {
		var failed *url.Error
		if errors.As(err, &failed) {
			err = failed.Err // without the URL, which is beside it
		}
		return fmt.Errorf("ask it: %w", err)
	}
	defer answer.Body.Close()
	switch answer.StatusCode {
	case http.StatusOK:
	case http.StatusUnauthorized:
		return errors.New("its monitoring port asks for a login")
	default:
		return fmt.Errorf("it answers with status %d", answer.StatusCode)
	}
	var z Statusz
	if err := json.NewDecoder(io.LimitReader(answer.Body, maxStatus)).Decode(&z); err != nil {
		return fmt.Errorf("what it answers is no status: %w", err)
	}
	if z.ID != one.ID {
		return errors.New("another server answers there")
	}
	one.Status, one.Conditions = z.Status, z.Conditions
	return nil
}

// monitorURL returns the URL of the monitoring port for other servers, "" without one that they may
// reach.
func (s *Server) monitorURL(o *Options) string {
	addr := s.MonitorAddr()
	if addr == nil {
		return ""
	}
	scheme, host := "http", ""
	if o.HTTPSPort != 0 {
		scheme = "https"
	}
	if !addr.IP.IsUnspecified() {
		host = addr.IP.String()
	}
	path := ""
	if base := strings.Trim(o.HTTPBasePath, "/"); base != "" {
		path = "/" + base
	}
	return (&url.URL{Scheme: scheme, Host: net.JoinHostPort(host, strconv.Itoa(addr.Port)), Path: path + "/"}).String()
}

// isMonitorPath reports whether a text may be the path of a monitoring port.
func isMonitorPath(text string) bool {
	return len(text) <= 200 && strings.Trim(text, monitorPathBytes) == ""
}

// monitorPathBytes are all that such a path has.
const monitorPathBytes = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_./~-"

// peerMonitor returns the URL of the monitoring port of another server, as it says, at the address
// that its route has: a server is not to have others ask elsewhere. "" if there is none.
func peerMonitor(text, host string) string {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || !isMonitorPath(u.Path) {
		return ""
	}
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	if err != nil || port == 0 || host == "" || u.Hostname() != "" && u.Hostname() != host {
		return ""
	}
	return (&url.URL{Scheme: u.Scheme, Host: net.JoinHostPort(host, u.Port()), Path: u.Path}).String()
}
