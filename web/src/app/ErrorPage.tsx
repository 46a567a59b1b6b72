import { useRouteError } from 'react-router';
import { FullPageMessage } from '../components/FullPageMessage';

/** Shown in place of a page that threw while it was drawn. */
export function ErrorPage() {
  const error = useRouteError();
  // After a new release the files of the old one are gone; loading the page again gets the new.
  const outdated = error instanceof TypeError && /dynamically imported module|module script/i.test(error.message);
  return (
    <FullPageMessage
      title={outdated ? 'A new version is here' : 'Something went wrong'}
      detail={
        outdated
          ? 'Load the page again to use it.'
          : 'This page stopped working. Nothing you saved is lost; loading it again usually helps.'
      }
      action={{ label: 'Load again', onClick: () => window.location.reload() }}
    />
  );
}
