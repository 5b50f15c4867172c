package server

// This file has the rows of the two tls blocks, and makes configurations of crypto/tls from the
// settings.

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"gnatsd/conf"
	"gnatsd/server/internal/tlsfiles"
)

// TLSConfigOpts are the settings of a tls block, or of the --tls flags.
type TLSConfigOpts struct {
	CertFile         string        // PEM: certificate chain
	KeyFile          string        // PEM: private key
	CaFile           string        // PEM: certificates of authorities
	Verify           bool          // clients must have a certificate
	Timeout          float64       // of the handshake, in seconds; 0 = the default. Not part of the tls.Config
	Ciphers          []uint16      // of TLS 1.2; nil = the default
	CurvePreferences []tls.CurveID // nil = the default
	MinVersion       string        // "1.2" or "1.3"; "" = 1.2
}

// GenTLSConfig reads the files of tc and returns the configuration for accepting clients: TLS 1.2
// or later, no insecure cipher suite. With Verify, clients must have a certificate signed by an
// authority in CaFile, or in the system's pool if CaFile is "". The error is that of reading or
// parsing a file.
func GenTLSConfig(tc *TLSConfigOpts) (*tls.Config, error) { return tlsfiles.Load(tc.files()) }

// files returns tc as package tlsfiles takes it.
func (tc *TLSConfigOpts) files() *tlsfiles.Files {
	return &tlsfiles.Files{
		Cert: tc.CertFile, Key: tc.KeyFile, CA: tc.CaFile, Verify: tc.Verify,
		Ciphers: tc.Ciphers, Curves: tc.CurvePreferences, MinVersion: tc.MinVersion,
	}
}

// withFlags returns the settings of a tls block in which the flags replace files and verify.
// Ciphers and curves of the block stay.
func (tc TLSConfigOpts) withFlags(flags *Options) TLSConfigOpts {
	for _, f := range []struct {
		to   *string
		flag string
	}{{&tc.CertFile, flags.TLSCert}, {&tc.KeyFile, flags.TLSKey}, {&tc.CaFile, flags.TLSCaCert}} {
		if f.flag != "" {
			*f.to = f.flag
		}
	}
	tc.Verify = tc.Verify || flags.TLSVerify
	return tc
}

// tlsRows returns the rows of the tls block for clients.
func tlsRows() []row {
	rows := tlsBlock("tls", onTLS, onClients, tlsFields{
		cert:    func(o *Options) *string { return &o.TLSCert },
		key:     func(o *Options) *string { return &o.TLSKey },
		ca:      func(o *Options) *string { return &o.TLSCaCert },
		verify:  func(o *Options) *bool { return &o.TLSVerify },
		timeout: func(o *Options) *float64 { return &o.TLSTimeout },
		ciphers: func(o *Options) *[]uint16 { return &o.tlsCiphers },
		curves:  func(o *Options) *[]tls.CurveID { return &o.tlsCurves },
		least:   func(o *Options) *string { return &o.tlsMinVersion },
		on:      func(o *Options) *bool { return &o.TLS },
	})
	flags := map[string]conf.Flag{
		"tls.cert_file": {Names: []string{"tlscert"}, Arg: "<file>", Usage: "Server certificate file"},
		"tls.key_file":  {Names: []string{"tlskey"}, Arg: "<file>", Usage: "Private key for server certificate"},
		"tls.verify":    {Names: []string{"tlsverify"}, Usage: "Enable TLS, verify client certificates"},
		"tls.ca_file":   {Names: []string{"tlscacert"}, Arg: "<file>", Usage: "Client certificate CA for verification"},
	}
	for i := range rows {
		if f, ok := flags[rows[i].Key]; ok {
			f.Group = tlsGroup
			rows[i].Flags = []conf.Flag{f}
		}
	}
	on := row{
		Type: conf.Custom(conf.CustomType[Options]{Name: "boolean", Switch: true, Parse: func(s string, o *Options) (err error) {
			o.TLS, err = conf.ParseSwitch(s)
			return err
		}}),
		Doc:   "Whether clients must use TLS.",
		Flags: []conf.Flag{{Names: []string{"tls"}, Group: tlsGroup, Usage: "Enable TLS, do not verify clients (default: false)"}},
	}
	return slices.Concat([]row{on}, rows, []row{
		{Key: "tls.verify_and_map", Restricts: true, Instead: []string{"verify"}, Field: "TLSMap", Reload: onAuth, Type: conf.Bool(func(o *Options) *bool { return &o.TLSMap }),
			Doc: "Whether the user of a client is found by the names in its certificate; implies `verify`."},
		{Key: "tls.handshake_first", Field: "TLSHandshakeFirst", Reload: onTLS, Type: handshakeFirstType(),
			Doc: "Whether the TLS handshake precedes INFO. With a duration (`auto` is 50 ms), a client that has not begun the handshake by then is sent INFO in clear."},
		{Key: "allow_non_tls", Field: "AllowNonTLS", Reload: onTLS, Type: conf.Bool(func(o *Options) *bool { return &o.AllowNonTLS }),
			Doc: "Whether clients may connect without TLS."},
	})
}

// handshakeFirstWait is how long `handshake_first: auto` waits for the client to begin TLS.
const handshakeFirstWait = 50 * time.Millisecond

// handshakeFirstType is the type of handshake_first: a boolean, or how long a client may take to
// begin TLS before INFO is sent in clear.
func handshakeFirstType() conf.Type[Options] {
	return conf.Custom(conf.CustomType[Options]{
		Name: `boolean, "auto" or duration`,
		Read: func(c *conf.Check, n *conf.Node, o *Options) {
			if n.Kind == conf.Boolean {
				o.TLSHandshakeFirst, o.TLSHandshakeFirstFallback = n.Bool, 0
				return
			}
			wait, err := handshakeFirstWait, error(nil)
			if n.Kind != conf.String || n.Str != "auto" {
				wait, err = conf.ReadDuration(n)
			}
			if err != nil || wait <= 0 || wait > longest {
				c.Want(n, `true, false, "auto" or a duration such as "300ms"`)
				return
			}
			o.TLSHandshakeFirst, o.TLSHandshakeFirstFallback = true, wait
		},
		Text: func(o *Options, _ bool) string {
			switch {
			case !o.TLSHandshakeFirst:
				return "false"
			case o.TLSHandshakeFirstFallback == 0:
				return "true"
			}
			return conf.Quote(o.TLSHandshakeFirstFallback.String())
		},
		Zero: func(o *Options) bool { return !o.TLSHandshakeFirst },
		Copy: func(dst, src *Options) {
			dst.TLSHandshakeFirst, dst.TLSHandshakeFirstFallback = src.TLSHandshakeFirst, src.TLSHandshakeFirstFallback
		},
	})
}

// clusterTLSRows returns the rows of the tls block for routes.
func clusterTLSRows() []row {
	return tlsBlock("cluster.tls", onRouteTLS, onSnapshot, tlsFields{
		cert:    func(o *Options) *string { return &o.Cluster.tls.CertFile },
		key:     func(o *Options) *string { return &o.Cluster.tls.KeyFile },
		ca:      func(o *Options) *string { return &o.Cluster.tls.CaFile },
		verify:  func(o *Options) *bool { return &o.Cluster.tls.Verify },
		timeout: func(o *Options) *float64 { return &o.Cluster.TLSTimeout },
		ciphers: func(o *Options) *[]uint16 { return &o.Cluster.tls.Ciphers },
		curves:  func(o *Options) *[]tls.CurveID { return &o.Cluster.tls.CurvePreferences },
		least:   func(o *Options) *string { return &o.Cluster.tls.MinVersion },
		on:      func(o *Options) *bool { return &o.Cluster.tlsOn },
	})
}

// tlsFields are the fields that a tls block sets.
type tlsFields struct {
	cert, key, ca func(*Options) *string
	verify, on    func(*Options) *bool
	timeout       func(*Options) *float64
	ciphers       func(*Options) *[]uint16
	curves        func(*Options) *[]tls.CurveID
	least         func(*Options) *string
}

// tlsBlock returns the rows that both blocks have. effect is that of a reload, except of the
// timeout, whose effect is timeout.
func tlsBlock(section string, effect, timeout conf.Effect, f tlsFields) []row {
	typeError := func(key, want string) string {
		return fmt.Sprintf("error parsing tls config, expected '%s' to be %s", key, want)
	}
	file := func(key, doc string, get func(*Options) *string) row {
		return row{Key: section + "." + key, Type: conf.Text(get), Doc: doc, TypeError: typeError(key, "filename"), Reload: effect}
	}
	rows := []row{
		{Key: section, Doc: "TLS settings; the block turns TLS on.", Type: conf.Section(conf.SectionType[Options]{
			Opened: func(o *Options) { *f.on(o) = true },
			On:     func(o *Options) bool { return *f.on(o) },
			Strict: func(name string) string { return fmt.Sprintf("error parsing tls config, unknown field [%q]", name) },
		})},
		file("cert_file", "Certificate chain: the certificate, and any intermediate ones.", f.cert),
		file("key_file", "Private key of the certificate.", f.key),
		{Key: section + ".verify", Type: conf.Bool(f.verify), TypeError: typeError("verify", "a boolean"), Reload: effect,
			Doc: "Whether peers must have a certificate; those of routes always must."},
		file("ca_file", "Authorities that may sign the certificates of peers.", f.ca),
		{Key: section + ".timeout", Default: "0.5", Type: conf.Seconds(f.timeout, upTo(longest)), Reload: timeout,
			Doc: "Maximum time of the handshake, in seconds."},
		{Key: section + ".cipher_suites", Reload: effect,
			Type: conf.NonEmpty(conf.List("list of names", f.ciphers, tlsfiles.ParseCipher, func(id uint16, _ bool) string { return conf.Quote(tlsfiles.CipherName(id)) }),
				"error parsing tls config, 'cipher_suites' cannot be empty"),
			Doc: "Cipher suites of TLS 1.2; `--help_tls` lists them."},
		{Key: section + ".curve_preferences", Reload: effect,
			Type: conf.NonEmpty(conf.List("list of names", f.curves, tlsfiles.ParseCurve, func(id tls.CurveID, _ bool) string { return conf.Quote(tlsfiles.CurveName(id)) }),
				"error parsing tls config, 'curve_preferences' cannot be empty"),
			Doc: "Curves in order of preference; `--help_tls` lists them."},
		{Key: section + ".min_version", Type: conf.Enum(f.least, tlsfiles.Version12, tlsfiles.Version13), Reload: effect,
			Doc: "Oldest version of TLS that is accepted; 1.2 if not given."},
	}
	for i := range rows {
		rows[i].Restricts = true
		admits := []string{section, section + ".verify", section + ".ca_file"}
		rows[i].Overridable = !slices.Contains(admits, rows[i].Key)
	}
	if section == "tls" {
		rows[slices.IndexFunc(rows, func(r row) bool { return r.Key == "tls.verify" })].Instead = []string{"verify_and_map"}
		for i, name := range []string{"", "TLSCert", "TLSKey", "TLSVerify", "TLSCaCert", "TLSTimeout"} {
			rows[i].Field = name
		}
	}
	return rows
}

// makeTLS makes the TLS configurations from blocks and flags. at returns the place of a block, for
// errors.
func (o *Options) makeTLS(at func(key string) conf.Pos) error {
	clients, routes := o.makeClientTLS(at), o.makeRouteTLS(at)
	if both := append(placedIn(clients), placedIn(routes)...); len(both) == 2 {
		return both
	}
	return cmp.Or(clients, routes)
}

// tlsErrors returns the errors of making the TLS configurations, for blocks of the file of which none
// has been found.
func (o *Options) tlsErrors(v *conf.Values[Options], found conf.Errors) (all conf.Errors) {
	at := func(key string) conf.Pos { return v.Origin(key).Pos }
	for _, block := range []struct {
		key  string
		make func(func(string) conf.Pos) error
	}{{"tls", o.makeClientTLS}, {"cluster.tls", o.makeRouteTLS}} {
		inBlock := func(e *conf.Error) bool { return strings.HasPrefix(e.Key, block.key+".") }
		if !slices.ContainsFunc(found, inBlock) {
			all = append(all, placedIn(block.make(at))...)
		}
	}
	return all
}

// placedIn returns err if it has a place in a file, else nothing.
func placedIn(err error) conf.Errors {
	if e, ok := errors.AsType[*conf.Error](err); ok {
		return conf.Errors{e}
	}
	return nil
}

// readTLS makes the TLS configuration if a program has set the fields for TLS files in the options.
// Options that were loaded already have it.
func (o *Options) readTLS() (err error) {
	wanted := o.TLS || o.TLSVerify || o.TLSCert != "" || o.TLSKey != "" || o.TLSCaCert != ""
	if o.TLSConfig != nil || o.loaded != nil || !wanted {
		return nil
	}
	files := TLSConfigOpts{}.withFlags(o)
	o.TLS, o.tlsFiles = true, &files
	o.TLSConfig, err = GenTLSConfig(o.tlsFiles)
	return err
}

// makeClientTLS makes the TLS configuration of the client port.
func (o *Options) makeClientTLS(at func(key string) conf.Pos) error {
	if o.TLSMap {
		o.TLSVerify = true
	}
	if !o.TLS {
		o.TLSConfig, o.tlsFiles = nil, nil
	} else {
		o.tlsFiles = &TLSConfigOpts{
			CertFile: o.TLSCert, KeyFile: o.TLSKey, CaFile: o.TLSCaCert, Verify: o.TLSVerify,
			Timeout: o.TLSTimeout, Ciphers: o.tlsCiphers, CurvePreferences: o.tlsCurves,
			MinVersion: o.tlsMinVersion,
		}
		config, err := GenTLSConfig(o.tlsFiles)
		if err != nil {
			return placedTLS(err, at, "tls")
		}
		o.TLSConfig = config
	}
	return nil
}

// makeRouteTLS makes the TLS configuration of routes.
func (o *Options) makeRouteTLS(at func(key string) conf.Pos) error {
	if !o.Cluster.tlsOn {
		return nil
	}
	config, err := GenTLSConfig(&o.Cluster.tls)
	if err != nil {
		return placedTLS(err, at, "cluster.tls")
	}
	o.Cluster.TLSConfig = tlsfiles.ForRole(config, tlsfiles.Routes)
	return nil
}

// placedTLS adds to an error about a tls block the place of the file that it is about, or else of the
// block.
func placedTLS(err error, at func(key string) conf.Pos, block string) error {
	if fe, ok := errors.AsType[*tlsfiles.FileError](err); ok {
		if key := block + "." + fe.Key; at(key).Line > 0 {
			return placed(err, at(key), key)
		}
	}
	return placed(err, at(block), block)
}

// placed adds the place at to an error about the block key. Without a place, if only flags are set,
// it returns the error unchanged.
func placed(err error, at conf.Pos, key string) error {
	if at.IsZero() {
		return err
	}
	return &conf.Error{Pos: at, Key: key, Msg: err.Error()}
}
