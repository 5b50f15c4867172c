package monitor

import (
	"fmt"
	"html"
	"net/http"
)

// rootPage is the small page of links that gnatsd 1.x has, for curl and for probes. Its argument is
// what all paths begin with.
const rootPage = `<html lang="en">
  <head>
    <title>gnatsd</title>
    <style type="text/css">body { font-family: sans-serif; font-size: 22px; margin-left: 32px }</style>
  </head>
  <body>
    <h1>gnatsd</h1>
    <a href="%[1]s/varz">varz</a><br/>
    <a href="%[1]s/connz">connz</a><br/>
    <a href="%[1]s/routez">routez</a><br/>
    <a href="%[1]s/subsz">subsz</a><br/>
    <br/>
    <a href="https://docs.nats.io/running-a-nats-service/nats_admin/monitoring">help</a>
  </body>
</html>
`

// serveRoot answers /: to browsers with the dashboard, to all others with the page of links.
func (m *Monitor) serveRoot(w http.ResponseWriter, r *http.Request) {
	m.requests["/"].Add(1)
	w.Header().Set("Vary", "Accept, Sec-Fetch-Dest, Sec-Fetch-Mode")
	if wantsDashboard(r.Header) {
		serveDashboard(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	fmt.Fprintf(w, rootPage, html.EscapeString(m.basePath))
}
