// The main job as a user does it, in a real browser against the running stack.
import { shot } from './browser';
import { StandInPhone } from './stand-in';
import { expect, test, type Page } from './test';

/** Until a slice is there (it may have to be made first) and shows its QR code. */
const SLICE_TIMEOUT = 120_000;
/** From the phone's scan until the chats are loaded. */
const LINK_TIMEOUT = 60_000;

const PASSWORD = 'correct horse battery';
const CUSTOMER = { number: '4917012345', name: 'Carl Customer', chat: '4917012345@c.us' };

function required(name: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`Set ${name}: npm run e2e tests a running stack.`);
  return value.replace(/\/+$/, '');
}

test.beforeAll(() => {
  required('APP_URL');
  required('SIM_URL');
});

test('sign up, link WhatsApp, chat, log in again', async ({ page, request }) => {
  const run = Date.now().toString();
  const email = `ana.${run}@example.com`;
  const phone = new StandInPhone(request, required('SIM_URL'), `49151${run.slice(-8)}`, `Ana's Bakery ${run.slice(-4)}`);
  const faults = watchFaults(page);

  await test.step('sign up', async () => {
    await page.goto('/signup');
    await page.getByLabel('E-mail').fill(email);
    await page.getByLabel('Password').fill(PASSWORD);
    await page.screenshot({ path: shot('desktop-sign-up') });
    await page.getByRole('button', { name: 'Sign up' }).click();
  });

  await test.step('the QR code appears', async () => {
    await expect(page.getByRole('img', { name: 'QR code to link WhatsApp' })).toBeVisible({ timeout: SLICE_TIMEOUT });
    await page.screenshot({ path: shot('desktop-qr') });
  });

  await test.step('link the phone', async () => {
    await phone.create();
    // A code that expires between reading and scanning is replaced by a new one.
    await expect(async () => {
      const code = await page.getByTestId('qr-text').getAttribute('data-qr', { timeout: 5_000 });
      expect(code).toBeTruthy();
      await phone.scan(code!);
    }).toPass({ timeout: LINK_TIMEOUT });
    await expect(page).toHaveURL(/\/chats$/, { timeout: LINK_TIMEOUT });
    await expect(page.getByTestId('whatsapp-state')).toHaveText('Connected', { timeout: LINK_TIMEOUT });
  });

  const row = page.getByRole('link', { name: CUSTOMER.name });
  await test.step("a customer's message appears live", async () => {
    await phone.receive(CUSTOMER.number, CUSTOMER.name, 'Do you have sourdough?');
    await expect(row).toBeVisible();
    await expect(row).toContainText('Do you have sourdough?');
    await expect(row.getByTestId('unread')).toHaveText('1');
  });

  const log = page.getByRole('log');
  await test.step('open the chat and reply', async () => {
    await row.click();
    await expect(log).toContainText('Do you have sourdough?');
    await expect(row.getByTestId('unread')).toHaveCount(0);
    await page.getByRole('textbox', { name: 'Message' }).fill('Yes, two loaves left.');
    await page.getByRole('button', { name: 'Send' }).click();
    await expect(bubble(page, 'Yes, two loaves left.')).toBeVisible();
    await expect
      .poll(async () => (await phone.messages(CUSTOMER.chat)).filter((m) => m.from_me).map((m) => m.text))
      .toEqual(['Yes, two loaves left.']);
  });

  await test.step('the ticks follow', async () => {
    await expect(bubble(page, 'Yes, two loaves left.').getByRole('img', { name: /^(Sent|Delivered)$/ })).toBeVisible();
    await phone.customerReads(CUSTOMER.chat);
    await expect(bubble(page, 'Yes, two loaves left.').getByRole('img', { name: 'Read' })).toBeVisible();
  });

  await test.step('the next message arrives in the open thread', async () => {
    await phone.receive(CUSTOMER.number, CUSTOMER.name, 'Lovely, I am on my way.');
    await expect(log).toContainText('Lovely, I am on my way.');
    await page.screenshot({ path: shot('desktop-thread') });
  });

  await test.step('log out', async () => {
    await page.getByRole('button', { name: 'Log out' }).click();
    await expect(page).toHaveURL(/\/login$/);
    await page.goto('/chats');
    await expect(page).toHaveURL(/\/login$/);
  });

  await test.step('log in again: the thread is still there', async () => {
    await logIn(page, email, PASSWORD);
    await row.click();
    await expect(log.getByRole('article')).toHaveCount(3);
    await expect(log).toContainText('Do you have sourdough?');
    await expect(log).toContainText('Lovely, I am on my way.');
    await expect(bubble(page, 'Yes, two loaves left.').getByRole('img', { name: 'Read' })).toBeVisible();
  });

  await test.step('on a phone it is a list or a thread', async () => {
    await page.setViewportSize({ width: 390, height: 844 });
    await expect(log).toBeVisible();
    await page.screenshot({ path: shot('mobile-thread') });
    await page.getByRole('link', { name: 'Back to the chats' }).click();
    await expect(row).toBeVisible();
    await expect(log).toBeHidden();
    await page.screenshot({ path: shot('mobile-list') });
  });

  expect(faults).toEqual([]);
});

test('wrong input is explained at its field', async ({ page }) => {
  await page.goto('/signup');
  await page.getByLabel('E-mail').fill('ana');
  await page.getByLabel('Password').fill('short');
  await page.getByRole('button', { name: 'Sign up' }).click();
  await expect(page.getByText('E-mail must be an e-mail address')).toBeVisible();
  await expect(page.getByText('Password must have at least 10 characters')).toBeVisible();
  await expect(page.getByLabel('E-mail')).toHaveAttribute('aria-invalid', 'true');

  // The browser lets this one pass: the server refuses it, and says which field.
  await page.getByLabel('E-mail').fill('ana@-.b[');
  await page.getByLabel('Password').fill(PASSWORD);
  await page.getByRole('button', { name: 'Sign up' }).click();
  await expect(page.getByText('E-mail must be an e-mail address')).toBeVisible();
  await page.screenshot({ path: shot('desktop-field-errors') });

  await page.goto('/login');
  await page.getByLabel('E-mail').fill(`nobody.${Date.now()}@example.com`);
  await page.getByLabel('Password').fill(PASSWORD);
  await page.getByRole('button', { name: 'Log in', exact: true }).click();
  await expect(page.getByRole('alert')).toBeVisible();
  await expect(page).toHaveURL(/\/login$/);

  await page.goto('/no-such-page');
  await expect(page.getByRole('heading', { name: 'Page not found' })).toBeVisible();
});

function bubble(page: Page, text: string) {
  return page.getByRole('log').getByRole('article').filter({ hasText: text });
}

async function logIn(page: Page, email: string, password: string) {
  await page.goto('/login');
  await page.getByLabel('E-mail').fill(email);
  await page.getByLabel('Password').fill(password);
  await page.getByRole('button', { name: 'Log in', exact: true }).click();
  await expect(page).toHaveURL(/\/chats/);
}

// What breaks in the page, such as a script that the CSP forbids, breaks the test.
function watchFaults(page: Page): string[] {
  const faults: string[] = [];
  page.on('pageerror', (error) => faults.push(error.message));
  page.on('console', (message) => {
    if (message.type() === 'error' && message.text().includes('Content Security Policy')) faults.push(message.text());
  });
  return faults;
}
