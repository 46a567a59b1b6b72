import type { APIRequestContext, APIResponse } from '@playwright/test';

/** A message as the stand-in's phone has it; ack: 1 sent, 2 delivered, 3 read. */
export interface PhoneMessage {
  id: string;
  chat_id: string;
  from_me: boolean;
  text: string;
  ack: number;
  timestamp: number;
}

/** The control API of the WhatsApp stand-in, for one phone account. */
export class StandInPhone {
  constructor(
    private readonly request: APIRequestContext,
    private readonly baseURL: string,
    readonly phone: string,
    readonly name: string,
  ) {}

  create = () => this.post('/control/accounts', { phone: this.phone, name: this.name });
  scan = (qr: string) => this.post(`${this.account}/scan`, { qr });
  /** A customer writes to this account. */
  receive = (from: string, fromName: string, text: string) =>
    this.post(`${this.account}/messages`, { from, from_name: fromName, text });
  /** The customer reads the chat. */
  customerReads = (chat: string) => this.post(`${this.account}/read`, { chat });

  async messages(chat: string): Promise<PhoneMessage[]> {
    const response = await this.request.get(`${this.baseURL}${this.account}/messages`, { params: { chat } });
    const body = (await checked(response).json()) as { messages: PhoneMessage[] };
    return body.messages;
  }

  private get account(): string {
    return `/control/accounts/${this.phone}`;
  }

  private async post(path: string, data: unknown): Promise<void> {
    checked(await this.request.post(this.baseURL + path, { data }));
  }
}

function checked(response: APIResponse): APIResponse {
  if (!response.ok()) throw new Error(`${response.url()}: HTTP ${response.status()}`);
  return response;
}
