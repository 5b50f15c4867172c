// Package browser looks at the dashboard as people do: in a browser. Its tests run the binary of
// this repository and a headless Chromium, which they drive by chromedp; it is a module of its own
// so that the broker does not depend on that. `make browser` runs them, with -shots DIR they also
// leave pictures of the page there.
package browser
