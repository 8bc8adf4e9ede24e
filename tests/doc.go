// Package tests boots the real image in QEMU under OVMF and acts as a person
// would: it reads the screen and the serial port, types, asks for a shutdown,
// pulls the plug. What they share is in internal/vmtest, which builds the EFI
// application and the drives. They skip, saying why, where QEMU or OVMF is
// missing, and with -short.
//
//	go test ./tests                                    the tests
//	go test ./tests -run '^TestSoak$' -soak 100 -v     boots in a row
//	go test ./tests -run '^$' -bench . -benchtime 1x   measurements in the machine
//
// Screenshots go to build/screens.
package tests
