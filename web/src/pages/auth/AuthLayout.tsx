import { Stack, Text, Title } from '@mantine/core';
import { IconBolt, IconDevices, IconShieldLock } from '@tabler/icons-react';
import type { ReactNode } from 'react';
import { Brand } from '../../components/Brand';
import { DemoBadge } from '../../components/DemoBadge';
import classes from './AuthLayout.module.css';

const POINTS = [
  { icon: IconBolt, title: 'Ready at once', text: 'Sign up, scan one code with your phone, and your chats are here.' },
  { icon: IconShieldLock, title: 'Yours alone', text: 'Your messages live in a workspace and a database of their own.' },
  { icon: IconDevices, title: 'Always connected', text: 'Messages keep arriving while your browser is closed.' },
];

export function AuthLayout({ title, lead, children }: { title: string; lead: ReactNode; children: ReactNode }) {
  return (
    <div className={classes.page}>
      <aside className={classes.aside}>
        <div className={classes.pitch}>
          <p className={classes.claim}>Your WhatsApp customers, in one calm inbox.</p>
          <ul className={classes.points}>
            {POINTS.map(({ icon: Icon, title, text }) => (
              <li key={title}>
                <span className={classes.icon}>
                  <Icon size={22} stroke={1.7} aria-hidden />
                </span>
                <div>
                  <strong>{title}</strong>
                  <p>{text}</p>
                </div>
              </li>
            ))}
          </ul>
        </div>
      </aside>
      <main className={classes.main}>
        <div className={classes.form}>
          <Brand size={34} />
          <Stack gap={6} mt={44} mb="xl">
            <Title order={1}>{title}</Title>
            <Text c="dimmed">{lead}</Text>
          </Stack>
          {children}
          <div className={classes.demo}>
            <DemoBadge />
          </div>
        </div>
      </main>
    </div>
  );
}
