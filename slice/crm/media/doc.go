// Package media keeps the files of messages in the slice's database, in chunks,
// within a quota: those that were uploaded to be sent, and those that somebody
// looked at, fetched from WhatsApp when they first did.
//
// What a file is, its content says, not its sender. A browser gets it under
// headers by which it shows pictures, sound and films, runs nothing, and saves
// everything else.
package media
