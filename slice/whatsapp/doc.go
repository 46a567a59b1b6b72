// Package whatsapp drives WhatsApp Web in a headless Chromium: it opens the
// page, links it, sends and receives through the page's WPP object (wa-js), and
// keeps the browser alive.
//
// Engine.Run supervises one browser at a time. What happens in the page comes
// back as Events, in order, to the sink given to Run. What the page sends is
// input from outside: everything is checked before it becomes an Event.
package whatsapp
