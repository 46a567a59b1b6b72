//go:build integration

package whatsappsim

import (
	"context"
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
	do(chromedp.SendKeys("#text", "Danke"), chromedp.Click("#composer button"))
	device.sees("chat.new_message:chat:Danke")
	do(chromedp.Click("#logout"))
	device.sees("conn.logout")
	phone.wait(`document.getElementById('linked').textContent === 'No device is linked'`)
}
