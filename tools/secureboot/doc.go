// Package secureboot makes what UEFI Secure Boot asks for: signed programs, and the
// variables that tell a firmware whose signatures to trust.
//
// The model. A program is a PE image; its Authenticode digest covers all of it but for its
// checksum and the signatures themselves ([Digest]). A signature is a PKCS #7 SignedData
// around that digest, at the end of the file ([Sign], [Signatures]). The firmware holds four
// variables: PK, the owner's key, which may change KEK; KEK, whose keys may change the
// others; db, whose certificates and digests may start; and dbx, which may not, whatever db
// says. Each holds signature lists ([List]). A firmware's menus take them as certificates,
// as lists or as lists that are signed for one variable ([Authenticate]); a virtual
// machine's firmware has them in a file ([Store]).
//
// Specifications: UEFI 2.10, chapters 8.2 and 32; Windows Authenticode Portable Executable
// Signature Format 1.0; RFC 2315 (PKCS #7).
package secureboot
