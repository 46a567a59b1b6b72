import type { ReactNode } from 'react';
import classes from './AppLayout.module.css';
import { Header } from './Header';
import { WhatsAppMenu } from './WhatsAppMenu';

/** Header and page of a user whose slice runs. */
export function AppLayout({ children }: { children: ReactNode }) {
  return (
    <div className={classes.app}>
      <Header>
        <WhatsAppMenu />
      </Header>
      <main className={classes.main}>{children}</main>
    </div>
  );
}
