package server

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"gnatsd/conf"
)

// This file refuses what was meant to restrict access and would not: credentials that are
// incomplete, mostly because a variable is empty, permissions of no user, and hosts that are replaced.

// credentialPair are the settings of one kind of login.
type credentialPair struct {
	section        string // of their keys, with a dot or another separator behind it
	user, password string
	open           string // what happens without a user
	required       bool
	removed        string // the log line of a reload after which it is not required
}

// logins returns what o has of each kind. Those of clients are first.
func (o *Options) logins() []credentialPair {
	return []credentialPair{
		{"authorization.", o.Username, o.Password, "clients would need no credentials", o.needsLogin(),
			"Clients need no credentials any more"},
		{"cluster.authorization.", o.Cluster.Username, o.Cluster.Password, "other servers would need no credentials", o.Cluster.Username != "" || o.CustomRouterAuthentication != nil,
			"Other servers need no credentials any more"},
		{"http_", o.HTTPUsername, o.HTTPPassword, "the monitoring pages would need no login", o.HTTPUsername != "",
			"The monitoring pages need no login any more"},
	}
}

// checkCredentials returns an error for each login in files and flags that is incomplete, for
// permissions without effect, and for hosts to listen on that would be.
func (o *Options) checkCredentials(v *conf.Values[Options]) (problems conf.Errors) {
	given := func(key string) bool {
		return v.Origin(key).Layer != conf.FromDefault
	}
	report := func(key, message string) { problems = append(problems, placedAt(v.Origin(key), key, message)) }
	const token, permissions = "authorization.token", "authorization.default_permissions"
	logins := o.logins()
	if given(token) && o.Authorization == "" && o.Users == nil {
		report(token, "the token is empty: "+logins[0].open)
	}
	for i, l := range logins {
		user, password := l.section+"user", l.section+"password"
		switch superseded := i == 0 && (o.Users != nil || o.Authorization != ""); {
		case superseded:
		case given(user) && l.user == "":
			report(user, "the user is empty: "+l.open)
		case given(password) && l.password == "":
			report(password, "the password is empty")
		case l.user != "" && l.password == "":
			report(user, "the user has no password: the name alone would be enough")
		case l.user == "" && l.password != "":
			report(password, "a password without a user: "+l.open)
		}
	}
	if given(permissions) && o.Users == nil {
		report(permissions, "permissions have an effect on a list of users only: list the user under users")
	}
	for _, block := range []struct {
		key, missing string
		login        credentialPair
	}{{"authorization", "no user, token or users", logins[0]}, {"cluster.authorization", "no user and password", logins[1]}} {
		if unknown, found := unknownIn(v, block.key); found && !block.login.required {
			report(block.key, block.missing+": "+block.login.open)
			last := problems[len(problems)-1]
			last.Pos = hidden(last.Pos)
			for _, e := range unknown {
				e.Key, e.Msg = block.key, "an unknown key, which is not shown: it may be a user or a secret"
				problems = append(problems, e)
			}
		}
	}
	widened, _ := o.checkReplaced(v)
	return append(problems, widened...)
}

// needsLogin reports whether clients need credentials.
func (o *Options) needsLogin() bool {
	users, _, open := o.loginUsers()
	return (authConfigured(o) || users != nil) && !open || o.CustomClientAuthentication != nil
}

// unknownIn returns the keys in a block of the file that nothing uses, which may have been meant as a login.
// Of very many unknown keys in a file it is not known where they are.
func unknownIn(v *conf.Values[Options], block string) (unknown conf.Errors, found bool) {
	if v.Origin(block).Layer != conf.FromFile {
		return nil, false
	}
	for _, e := range v.Unknown {
		if strings.HasPrefix(e.Key, block+".") {
			unknown = append(unknown, e)
		}
		found = found || e.Key == ""
	}
	return unknown, found || len(unknown) > 0
}

// hidden is a place without its line of the file, which messages would show.
func hidden(at conf.Pos) conf.Pos { return conf.Pos{File: at.File, Line: at.Line, Col: at.Col} }

// hideLogins takes the lines of the file from errors where logins are: about unknown keys, whose values
// may be secrets, as in authorization { anna: secret }, and about blocks that are none.
func hideLogins(v *conf.Values[Options]) {
	for _, e := range slices.Concat(v.Errors, v.Unknown) {
		if section, _, _ := strings.Cut(strings.TrimPrefix(e.Key, "cluster."), "."); section != "authorization" && section != "accounts" {
			continue
		}
		const wantMap = "want a map"
		if strings.HasPrefix(e.Msg, wantMap+", have ") {
			e.Pos, e.Msg = hidden(e.Pos), wantMap
		}
		if strings.HasPrefix(e.Msg, "unknown field ") {
			e.Pos = hidden(e.Pos)
		}
	}
}

// placedAt is an error about a setting that begins with where its value came from.
func placedAt(from conf.Origin, key, message string) *conf.Error {
	if from.Var != "" {
		message += fmt.Sprintf(" (from $%s)", from.Var)
	}
	if from.Layer == conf.FromFlag {
		key = from.Flag
	}
	return &conf.Error{Pos: from.Pos, Key: key, Msg: message}
}

var (
	// errRouteLogin and errMonitoringLogin are errors about a program's settings.
	errRouteLogin      = errors.New("Cluster.Password is set without Cluster.Username: other servers would need no credentials")
	errMonitoringLogin = errors.New("HTTPUsername and HTTPPassword must be set together: with one of them the monitoring pages would be open")
)

// checkLogins returns an error if a program has set a login that would leave open what it was meant to
// close. Of a password for clients without a user there is only a warning, as programs for 1.x have it.
func (o *Options) checkLogins() error {
	switch {
	case o.Cluster.Port != 0 && o.Cluster.Username == "" && o.Cluster.Password != "":
		return errRouteLogin
	case (o.HTTPUsername == "") != (o.HTTPPassword == ""):
		return errMonitoringLogin
	}
	return nil
}
