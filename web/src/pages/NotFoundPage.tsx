import { FullPageMessage } from '../components/FullPageMessage';

export function NotFoundPage() {
  return (
    <FullPageMessage
      title="Page not found"
      detail="Nothing lives at this address. The link may be old or mistyped."
      action={{ label: 'Go to the start page', to: '/' }}
    />
  );
}
