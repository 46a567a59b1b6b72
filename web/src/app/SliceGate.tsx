import { Navigate, Outlet } from 'react-router';
import { AppLayout } from '../components/AppLayout';
import { LiveProvider } from '../live/LiveProvider';
import { SliceStoppedPage } from '../pages/waiting/SliceStoppedPage';
import { WaitingPage } from '../pages/waiting/WaitingPage';
import { useUser } from '../session/session';

/** The pages under it need a slice that runs; until then it says what is awaited. */
export function SliceGate() {
  const { user, slice } = useUser();
  if (user.role === 'admin') return <Navigate to="/platform" replace />;
  switch (slice.state) {
    case 'assigned':
      return (
        <LiveProvider>
          <AppLayout>
            <Outlet />
          </AppLayout>
        </LiveProvider>
      );
    case 'held':
    case 'suspended':
      return <SliceStoppedPage state={slice.state} />;
    default:
      return <WaitingPage slice={slice} />;
  }
}
