package koubeisim

// AboutZH describes the fault in Chinese.
func (f Fault) AboutZH() string { return f.behavior().zh }
