package connect

// Routes are the methods and paths that are served.
func Routes() []string {
	var all []string
	for _, rt := range routeTable() {
		all = append(all, rt.method+" "+rt.path)
	}
	return all
}
