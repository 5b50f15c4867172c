// Package tlsfiles makes TLS configurations from certificates, keys and authorities in files, and
// replaces them while connections come and go: a handshake uses the files of its time.
//
// [Files] are what one tls block of the settings names; [Load] reads them. A [Holder] is what
// handshakes get their configuration from, and [Reload] reads changed files into it. Cipher suites,
// curves and versions have the names that settings, logs and monitoring pages use.
//
// The package promises TLS 1.2 or later without insecure cipher suites, and that files which cannot
// be used leave those in use as they are. It does not know when files change, nor who connects.
package tlsfiles

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"
)

// Files are what a tls block says about certificates and protocol.
type Files struct {
	Cert       string        // certificate chain
	Key        string        // private key
	CA         string        // authorities; "" = those of the system
	Verify     bool          // demand certificates from clients
	Ciphers    []uint16      // of TLS 1.2; nil = the default
	Curves     []tls.CurveID // nil = the default
	MinVersion string        // [Version12] or [Version13]; "" = 1.2
}

// Names returns the names of the files.
func (f *Files) Names() []string {
	return slices.DeleteFunc([]string{f.Cert, f.Key, f.CA}, func(name string) bool { return name == "" })
}

// FileError is an error about one file of a tls block.
type FileError struct {
	Key string // cert_file, key_file or ca_file
	Err error
}

// Error returns the text of Err.
func (e *FileError) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *FileError) Unwrap() error { return e.Err }

// Load reads the files and returns the configuration for accepting clients. An error about a file is
// a [FileError].
func Load(f *Files) (*tls.Config, error) {
	config := &tls.Config{
		MinVersion:       tls.VersionTLS12,
		CipherSuites:     defaultCiphers(),
		CurvePreferences: defaultCurves(),
	}
	if f.Ciphers != nil {
		config.CipherSuites = f.Ciphers
	}
	if f.Curves != nil {
		config.CurvePreferences = f.Curves
	}
	if f.MinVersion == Version13 {
		config.MinVersion = tls.VersionTLS13
	}
	for _, id := range config.CipherSuites {
		if err := checkCipher(id); err != nil {
			return nil, err
		}
	}
	cert, err := readKeyPair(f.Cert, f.Key)
	if err != nil {
		return nil, err
	}
	config.Certificates = []tls.Certificate{cert}
	if f.CA != "" {
		if config.ClientCAs, err = readPool(f.CA); err != nil {
			return nil, &FileError{"ca_file", err}
		}
	}
	if f.Verify {
		config.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return config, nil
}

// readKeyPair reads a certificate chain and its key.
func readKeyPair(certFile, keyFile string) (cert tls.Certificate, err error) {
	if certFile == "" {
		return cert, &FileError{"cert_file", errors.New("TLS Server certificate must be present and valid")}
	}
	if keyFile == "" {
		return cert, &FileError{"key_file", errors.New("TLS Server private key must be present and valid")}
	}
	cert, err = tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		hint := ""
		if encrypted(keyFile) {
			hint = " (the key is encrypted: store it without a passphrase, as openssl pkey writes it)"
		}
		return cert, &FileError{keyOfPair(err, keyFile), fmt.Errorf("error parsing X509 certificate/key pair: %w%s", err, hint)}
	}
	if cert.Leaf, err = x509.ParseCertificate(cert.Certificate[0]); err != nil {
		return cert, &FileError{"cert_file", fmt.Errorf("error parsing certificate: %w", err)}
	}
	return cert, nil
}

// encrypted reports whether a file has a private key with a passphrase.
func encrypted(keyFile string) bool {
	text, err := os.ReadFile(keyFile)
	if err != nil {
		return false
	}
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED") {
			return true
		}
	}
	return false
}

// keyOfPair returns which file of a pair an error of crypto/tls is about.
func keyOfPair(err error, keyFile string) string {
	if pe, ok := errors.AsType[*os.PathError](err); ok {
		if pe.Path == keyFile {
			return "key_file"
		}
		return "cert_file"
	}
	if strings.Contains(err.Error(), "key") {
		return "key_file"
	}
	return "cert_file"
}

// readPool reads certificate authorities.
func readPool(caFile string) (*x509.CertPool, error) {
	text, err := os.ReadFile(caFile)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, errors.New("failed to parse root ca certificate")
	}
	return pool, nil
}

// Same reports whether two configurations, nil without TLS, present the same certificates and trust
// the same authorities.
func Same(a, b *tls.Config) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.ClientCAs.Equal(b.ClientCAs) && slices.EqualFunc(a.Certificates, b.Certificates, func(x, y tls.Certificate) bool {
		return slices.EqualFunc(x.Certificate, y.Certificate, bytes.Equal)
	})
}

// SameSettings reports whether two configurations, nil without TLS, are the same but for what [Same]
// compares. Functions are not the same, as they cannot be compared.
func SameSettings(a, b *tls.Config) bool {
	if a == nil || b == nil || a == b {
		return a == b
	}
	x, y := reflect.ValueOf(a).Elem(), reflect.ValueOf(b).Elem()
	return !slices.ContainsFunc(settings(), func(i int) bool { return !sameValue(x.Field(i), y.Field(i)) })
}

// Edited returns a copy of edited, which was made from loaded, with everything from files in which the two do
// not differ.
func Edited(files, loaded, edited *tls.Config) *tls.Config {
	c := edited.Clone()
	c.Certificates, c.ClientCAs = files.Certificates, files.ClientCAs
	to, was, is := reflect.ValueOf(c).Elem(), reflect.ValueOf(loaded).Elem(), reflect.ValueOf(files).Elem()
	for _, i := range settings() {
		if sameValue(was.Field(i), to.Field(i)) {
			to.Field(i).Set(is.Field(i))
		}
	}
	return c
}

// settings returns the fields of a configuration that a program may set, but for those that [Same] compares.
func settings() (fields []int) {
	for _, f := range reflect.VisibleFields(reflect.TypeFor[tls.Config]()) {
		if f.IsExported() && f.Name != "Certificates" && f.Name != "ClientCAs" {
			fields = append(fields, f.Index[0])
		}
	}
	return fields
}

// sameValue reports whether two fields of a configuration are the same.
func sameValue(v, w reflect.Value) bool {
	if pool, ok := v.Interface().(*x509.CertPool); ok {
		return pool.Equal(w.Interface().(*x509.CertPool))
	}
	switch v.Kind() {
	case reflect.Func:
		return v.IsNil() && w.IsNil()
	case reflect.Slice, reflect.Map:
		return reflect.DeepEqual(v.Interface(), w.Interface())
	}
	return v.Comparable() && w.Comparable() && v.Equal(w)
}

// withFiles returns a copy of config with the certificates and authorities of files.
func withFiles(config, files *tls.Config) *tls.Config {
	c := config.Clone()
	if c.RootCAs.Equal(c.ClientCAs) { // they are those of the files, too
		c.RootCAs = files.RootCAs
	}
	c.Certificates, c.ClientCAs = files.Certificates, files.ClientCAs
	return c
}

// NotAfter returns when the first certificate of config expires; zero without one.
func NotAfter(config *tls.Config) (first time.Time) {
	for _, leaf := range leaves(config) {
		if first.IsZero() || leaf.NotAfter.Before(first) {
			first = leaf.NotAfter.UTC()
		}
	}
	return first
}

// NotBefore returns from when on all certificates of config are valid; zero without one.
func NotBefore(config *tls.Config) (last time.Time) {
	for _, leaf := range leaves(config) {
		if leaf.NotBefore.After(last) {
			last = leaf.NotBefore.UTC()
		}
	}
	return last
}

// leaves returns the certificates of config, without those that sign them.
func leaves(config *tls.Config) (list []*x509.Certificate) {
	if config == nil {
		return nil
	}
	for _, c := range config.Certificates {
		leaf := c.Leaf
		if leaf == nil && len(c.Certificate) > 0 {
			leaf, _ = x509.ParseCertificate(c.Certificate[0])
		}
		if leaf != nil {
			list = append(list, leaf)
		}
	}
	return list
}
