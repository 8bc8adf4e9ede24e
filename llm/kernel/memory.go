package kernel

// Memory is how many bytes the table takes, full or not.
func (r *Rows) Memory() int { return len(r.m.data) }
