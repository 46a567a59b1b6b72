import type { ReactNode } from 'react';
import { Link } from 'react-router';
import { useConfig } from '../app/useConfig';
import { APP_NAME } from '../app/theme';
import { AccountLink } from './AccountLink';
import { Brand } from './Brand';
import { DeletionBanner } from './DeletionBanner';
import { DemoBadge } from './DemoBadge';
import classes from './Header.module.css';
import { LogOutButton } from './LogOutButton';

/** The bar over every page of a logged-in user. */
export function Header({ children }: { children?: ReactNode }) {
  const { demo } = useConfig();
  return (
    <>
      <header className={classes.header}>
        <Link to="/" aria-label={`${APP_NAME}, home`} style={{ color: 'inherit', textDecoration: 'none' }}>
          <Brand nameFrom="sm" />
        </Link>
        <div className={classes.middle}>
          <div className={classes.demo}>
            <DemoBadge />
          </div>
        </div>
        <div className={classes.end}>
          {children}
          <AccountLink />
          <LogOutButton />
        </div>
      </header>
      {demo && (
        <div className={classes.demoLine}>
          <DemoBadge />
        </div>
      )}
      <DeletionBanner />
    </>
  );
}
