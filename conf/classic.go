package conf

// This file holds the functions that programs embedding gnatsd 1.x use. They return maps of any, as
// they did there.

// Parse reads a configuration. The values are string, bool, int64, float64, time.Time, []any and
// map[string]any. Files it includes are relative to the working directory.
func Parse(data string) (map[string]any, error) {
	root, err := System().Text("", data)
	if err != nil {
		return nil, err
	}
	return root.classicMap(), nil
}

// ParseFile reads the configuration in a file, as [Parse] does.
func ParseFile(fp string) (map[string]any, error) {
	root, err := System().File(fp)
	if err != nil {
		return nil, err
	}
	return root.classicMap(), nil
}

// classicMap is a map as Parse returns it.
func (n *Node) classicMap() map[string]any {
	m := make(map[string]any, len(n.Pairs))
	for p := range n.Effective() {
		m[p.Key] = p.Value.classic()
	}
	return m
}

// classic is a value as Parse returns it.
func (n *Node) classic() any {
	switch n.Kind {
	case String:
		return n.Str
	case Integer:
		return n.Int
	case Float:
		return n.Float
	case Boolean:
		return n.Bool
	case Time:
		return n.Time
	case Map:
		return n.classicMap()
	}
	elems := make([]any, len(n.Elems))
	for i, e := range n.Elems {
		elems[i] = e.classic()
	}
	return elems
}
