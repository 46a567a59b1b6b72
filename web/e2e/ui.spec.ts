// Details of the UI against the mock: states that a real stack does not show on
// demand. What is proved here is the UI, nothing else.
import { expect, test, type Page } from '@playwright/test';
import { shot } from './browser';

const PASSWORD = 'a long password';
let users = 0;

async function signUp(page: Page): Promise<string> {
  const email = `user${++users}.${Date.now()}@example.com`;
  await page.goto('/signup');
  await page.getByLabel('E-mail').fill(email);
  await page.getByLabel('Password').fill(PASSWORD);
  await page.getByRole('button', { name: 'Sign up' }).click();
  return email;
}

async function mock(page: Page, email: string, change: object) {
  const response = await page.request.post('/mock/state', { data: { email, ...change } });
  expect(response.ok()).toBe(true);
}

const ACCOUNT = { id: '4915112345678@c.us', phone: '+4915112345678', name: "Ana's Bakery" };

async function signUpLinked(page: Page): Promise<string> {
  const email = await signUp(page);
  await mock(page, email, { slice: { state: 'assigned' } });
  await mock(page, email, { whatsapp: { state: 'ready', account: ACCOUNT }, seed: true });
  await page.goto('/chats');
  await expect(page.getByTestId('whatsapp-state')).toHaveText('Connected');
  return email;
}

async function shots(page: Page, name: string) {
  for (const [size, viewport] of Object.entries({ desktop: { width: 1280, height: 800 }, mobile: { width: 390, height: 844 } })) {
    await page.setViewportSize(viewport);
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme });
      await page.screenshot({ path: shot(`ui/${name}-${size}-${colorScheme}`), animations: 'disabled' });
    }
  }
  await page.setViewportSize({ width: 1280, height: 800 });
}

test('the waiting page counts down and gives way to the QR code', async ({ page }) => {
  await page.goto('/login');
  await shots(page, 'log-in');
  const email = await signUp(page);
  await expect(page.getByRole('heading', { name: 'Setting up your workspace' })).toBeVisible();
  await expect(page.getByText('Updated live')).toBeVisible();
  await expect(page.getByTestId('queue-position')).toHaveText('3');
  await mock(page, email, { slice: { state: 'queued', position: 2, estimate_seconds: 8 } });
  await expect(page.getByTestId('queue-position')).toHaveText('2');
  await expect(page.getByText('You are number 2 in the queue. It should take about 10 seconds.')).toBeVisible();
  await shots(page, 'waiting');
  await mock(page, email, { slice: { state: 'assigned' } });
  await expect(page.getByRole('img', { name: 'QR code to link WhatsApp' })).toBeVisible();
  await expect(page.getByText('Demo mode: WhatsApp is a stand-in').first()).toBeVisible();
  await shots(page, 'qr');
});

test('without the WebSocket the waiting page polls', async ({ page }) => {
  await page.routeWebSocket('**/auth/slice/events', (ws) => void ws.close());
  const email = await signUp(page);
  await expect(page.getByText('Checking every few seconds')).toBeVisible();
  await mock(page, email, { slice: { state: 'assigned' } });
  await expect(page.getByRole('img', { name: 'QR code to link WhatsApp' })).toBeVisible();
});

test('every state of WhatsApp says what it is', async ({ page }) => {
  const email = await signUp(page);
  await mock(page, email, { slice: { state: 'assigned' } });
  await expect(page.getByRole('img', { name: 'QR code to link WhatsApp' })).toBeVisible();
  const states = {
    starting: 'Starting WhatsApp',
    syncing: 'Your phone is linked',
    passkey_required: 'WhatsApp asks for your passkey',
    offline: 'WhatsApp is offline',
    conflict: 'WhatsApp is open elsewhere',
    logged_out: 'WhatsApp was unlinked',
    failed: 'WhatsApp does not work right now',
    pairing_code: 'Waiting for your phone',
  };
  for (const [state, title] of Object.entries(states)) {
    const reason = state === 'failed' ? 'The page of WhatsApp changed: window.WPP did not start.' : '';
    await mock(page, email, { whatsapp: { state, reason } });
    await expect(page.getByRole('heading', { name: title })).toBeVisible();
    if (reason) await expect(page.getByText(reason)).toBeVisible();
    await page.screenshot({ path: shot(`ui/state-${state}`), animations: 'disabled' });
  }
});

test('the inbox: search, older messages, failures, maintenance, session', async ({ page }) => {
  const email = await signUpLinked(page);
  const log = page.getByRole('log');
  await expect(page.getByRole('link', { name: 'Carla Méndez' })).toBeVisible();
  await shots(page, 'chats');

  await page.getByRole('textbox', { name: 'Search chats' }).fill('mendez');
  await expect(page.getByRole('link', { name: 'Carla Méndez' })).toBeVisible();
  await expect(page.getByRole('link', { name: 'Jonas Weber' })).toHaveCount(0);
  await page.getByRole('button', { name: 'Clear the search' }).click();

  await page.getByRole('link', { name: 'Bakery Rosenthal' }).click();
  await expect(log.getByRole('article')).toHaveCount(50);
  await shots(page, 'thread');
  const scroller = page.getByRole('region', { name: 'Conversation with Bakery Rosenthal' });
  await expect(async () => {
    await scroller.evaluate((e) => e.scrollTo({ top: -e.scrollHeight }));
    await expect(log.getByRole('article')).toHaveCount(140, { timeout: 1_000 });
  }).toPass();

  await page.getByRole('link', { name: 'Carla Méndez' }).click();
  const input = page.getByRole('textbox', { name: 'Message' });
  await input.fill('first line');
  await input.press('Shift+Enter');
  await input.pressSequentially('second line');
  await mock(page, email, { fail_sends: true });
  await input.press('Enter');
  const sent = log.getByRole('article').filter({ hasText: 'second line' });
  await expect(sent.getByRole('alert')).toContainText('WhatsApp is not connected right now.');
  await shots(page, 'failed-send');
  await mock(page, email, { fail_sends: false });
  await sent.getByRole('button', { name: 'Try again' }).click();
  await expect(sent.getByRole('img', { name: 'Delivered' })).toBeVisible();
  await expect(sent).toHaveCount(1);

  await page.getByRole('button', { name: /WhatsApp account/ }).click();
  await page.screenshot({ path: shot('ui/menu'), animations: 'disabled' });
  await page.getByRole('menuitem', { name: 'Unlink WhatsApp' }).click();
  await expect(page.getByRole('dialog')).toContainText("Unlink Ana's Bakery?");
  await page.screenshot({ path: shot('ui/unlink') });
  await page.getByRole('button', { name: 'Unlink', exact: true }).click();
  await expect(page.getByRole('img', { name: 'QR code to link WhatsApp' })).toBeVisible();
  await page.goto('/chats');
  await expect(page.getByText('WhatsApp is not linked')).toBeVisible();
  await shots(page, 'unlinked-inbox');

  await mock(page, email, { slice: { state: 'held' } });
  await page.reload();
  await expect(page.getByRole('heading', { name: 'Down for maintenance' })).toBeVisible();
  await shots(page, 'maintenance');
  await mock(page, email, { slice: { state: 'assigned' } });
  await expect(page.getByRole('link', { name: 'Jonas Weber' })).toBeVisible();

  await mock(page, email, { session: 'end' });
  await expect(page.getByText('Your session has ended')).toBeVisible(); // with nothing done in the page
});

test('admins see the pool and the slices', async ({ page }) => {
  await page.goto('/login');
  await page.getByLabel('E-mail').fill('admin@example.com');
  await page.getByLabel('Password').fill('wrong');
  await page.getByRole('button', { name: 'Log in', exact: true }).click();
  await expect(page.getByRole('alert')).toContainText('The e-mail address or the password is wrong.');
  await page.getByLabel('Password').fill('admin-password');
  await page.getByRole('button', { name: 'Log in', exact: true }).click();
  await expect(page.getByRole('heading', { name: 'Platform' })).toBeVisible();
  await expect(page.getByRole('row', { name: /slice-48/ })).toBeVisible();
  await shots(page, 'platform');
  await page.getByRole('button', { name: /^failed/ }).click();
  await expect(page.getByRole('row', { name: /slice-48/ })).toHaveCount(0);
  await expect(page.getByText('The health check did not pass')).toBeVisible();
});
