import { Navigate, useLocation } from 'react-router';
import { useSignUpByMail } from '../../session/session';
import { AuthLayout } from './AuthLayout';
import { isSpent, linkToken } from './linkToken';
import { NewPasswordForm } from './NewPasswordForm';
import { SpentLink } from './SpentLink';

/** Ends a sign-up that began with a mail. */
export function ConfirmSignUpPage() {
  const token = linkToken(useLocation().hash);
  const signUp = useSignUpByMail();
  if (signUp.isSuccess) return <Navigate to="/" replace />;
  return (
    <AuthLayout title="Choose a password" lead="Then your workspace is ready.">
      {isSpent(token, signUp.error) ? (
        <SpentLink again="/signup" />
      ) : (
        <NewPasswordForm
          label="Password"
          submitLabel="Sign up"
          onSubmit={(password) => signUp.mutate({ token, password })}
          pending={signUp.isPending}
          error={signUp.error}
          onEdit={signUp.reset}
        />
      )}
    </AuthLayout>
  );
}
