//go:build integration

package whatsappsim

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

func contextWithTimeout(b *browser, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(b.ctx, d)
}

// A person's way through the phone page: create an account, scan the code that
// came along in the address, be a customer, see the reply and read it.
func TestPhonePage(t *testing.T) {
	t.Parallel()
	s := startServer(t, Config{DeliveryDelay: time.Millisecond})
	device := startBrowser(t, t.TempDir())
	device.open(s.url)
	device.wait(`WPP.conn.getAuthCode()`)
	device.wait(`document.getElementById('phone-link').href.includes('code=')`)
	href := eval[string](device, `document.getElementById('phone-link').href`)

	phone := startBrowser(t, t.TempDir())
	do := func(steps ...chromedp.Action[chromedp.Void]) {
		t.Helper()
		ctx, cancel := contextWithTimeout(phone, evalTimeout)
		defer cancel()
		if err := chromedp.Do(ctx, steps...); err != nil {
			t.Fatal(err)
		}
	}
	do(chromedp.Navigate(href))
	phone.wait(`document.querySelector('#scan-dialog[open] textarea')?.value.startsWith('2@')`)
	do(chromedp.Click("#link"))
	phone.wait(`!document.querySelector('dialog[open]') && !location.search.includes('code')`)
	phone.wait(`document.getElementById('linked').textContent === 'A device is linked'`)
	device.wait(ready)

	do(chromedp.Click("#new-customer"))
	phone.do(`(() => {
		const { elements } = document.querySelector('#customer-dialog form');
		elements.name.value = '<img src=x onerror=alert(1)>';
		elements.phone.value = '+49 170-12345';
		elements.text.value = 'Guten Tag <b>!</b>';
	})()`)
	do(chromedp.Click("#customer-dialog button.primary"))
	device.sees("chat.new_message:chat:Guten Tag <b>!</b>")
	phone.wait(`document.querySelector('#messages li')?.textContent.startsWith('Guten Tag <b>!</b>')`)
	if n := eval[int](phone, `document.querySelectorAll('#messages b, .panes img').length`); n != 0 {
		t.Errorf("%d elements came out of text", n)
	}
	device.do(`WPP.chat.sendTextMessage('` + customerChat + `', 'Hello from the CRM')`)
	phone.wait(`document.querySelector('#messages li.mine .ticks')?.title === 'delivered'`)
	do(chromedp.Click("#read"))
	phone.wait(`document.querySelector('#messages li.mine .ticks')?.dataset.ack === '3'`)
	// The button is off while the message before is on its way.
	send := func(text string) {
		t.Helper()
		do(chromedp.SendKeys("#text", text))
		phone.wait(`!document.querySelector('#composer button.primary').disabled`)
		do(chromedp.Click("#composer button.primary"))
	}
	send("Danke")
	device.sees("chat.new_message:chat:Danke")
	// A message has what can be done with it.
	press := func(message, label string) {
		t.Helper()
		phone.wait(`[...document.querySelectorAll('#messages li')].some((li) => li.textContent.startsWith('` + message + `'))`)
		phone.do(`(() => {
			const li = [...document.querySelectorAll('#messages li')].find((li) => li.textContent.startsWith('` + message + `'));
			li.querySelector('[aria-label="` + label + `"]').click();
		})()`)
	}
	press("Danke", "React with 👍")
	phone.wait(`document.querySelector('#messages .reactions')?.textContent === '👍'`)
	press("Hello from the CRM", "Reply")
	send("Sehr nett")
	device.wait(`(await WPP.chat.getMessages('` + customerChat + `')).at(-1).quotedMsg?.body === 'Hello from the CRM'`)
	press("Danke", "Edit")
	send(" sehr")
	device.wait(`(await WPP.chat.getMessages('` + customerChat + `')).some((m) => m.body === 'Danke sehr' && m.latestEditMsgKey)`)
	press("Danke sehr", "Delete for everyone")
	device.wait(`(await WPP.chat.getMessages('` + customerChat + `')).some((m) => m.type === 'revoked')`)
	do(chromedp.SetUploadFiles("#attachment", []string{writePicture(t)}))
	device.wait(`(await WPP.chat.getMessages('` + customerChat + `')).at(-1).type === 'image'`)
	phone.wait(`document.querySelector('#messages img.picture')?.naturalWidth === 30`)
	do(chromedp.Click("#new-group"))
	phone.do(`(() => {
		const { elements } = document.querySelector('#group-dialog form');
		elements.name.value = 'Suppliers';
		elements.members.value = 'Carl +49 170-12345\nZoé +33 6 12345678';
	})()`)
	do(chromedp.Click("#group-dialog button.primary"))
	phone.wait(`document.querySelectorAll('#member option').length === 2`)
	send("Alle da?")
	device.sees("chat.new_message:chat:Alle da?")

	do(chromedp.Click("#logout"))
	device.sees("conn.logout")
	phone.wait(`document.getElementById('linked').textContent === 'No device is linked'`)
}

func writePicture(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "picture.png")
	writeFile(t, name, string(testPicture(t)))
	return name
}
