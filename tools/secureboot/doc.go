// Package secureboot makes what UEFI Secure Boot asks for beside signed programs, which are package
// authenticode's: keys, and the variables that tell a firmware whose signatures to trust.
//
// The model. The firmware holds four variables: PK, the owner's key, which may change KEK; KEK, whose keys may change the
// others; db, whose certificates and digests may start; and dbx, which may not, whatever db
// says. Each holds signature lists ([List]); [Trust] decides by them. A firmware's menus take them as certificates,
// as lists or as lists that are signed for one variable ([Authenticate]); a virtual
// machine's firmware has them in a file ([Store]).
//
// Specification: UEFI 2.10, chapters 8.2 and 32.
package secureboot
