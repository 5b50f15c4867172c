package process

// MayWrite returns nil: what a user may do is not known here before it is tried.
func MayWrite(string) error { return nil }
