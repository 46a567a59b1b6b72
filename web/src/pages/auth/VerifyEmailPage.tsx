import { Alert, Anchor, Button, Stack } from '@mantine/core';
import { IconCircleCheck } from '@tabler/icons-react';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { Link, useLocation } from 'react-router';
import { verifyEmail } from '../../api/auth';
import { messageOf } from '../../api/http';
import { keys } from '../../api/keys';
import { AuthLayout } from './AuthLayout';
import { isSpent, linkToken } from './linkToken';
import { SpentLink } from './SpentLink';

/** Asks for a click: programs that open the links of mails must not use them up. */
export function VerifyEmailPage() {
  const token = linkToken(useLocation().hash);
  const queryClient = useQueryClient();
  const verify = useMutation({
    mutationFn: verifyEmail,
    onSuccess: () => queryClient.invalidateQueries({ queryKey: keys.me }),
  });

  return (
    <AuthLayout title="Confirm your e-mail address" lead="So that we can reach you, and you can come back without your password.">
      {verify.isSuccess ? (
        <Alert variant="light" icon={<IconCircleCheck aria-hidden />} role="status">
          {verify.data.email} is confirmed.{' '}
          <Anchor component={Link} to="/" c="var(--app-accent-text)">
            Go on
          </Anchor>
        </Alert>
      ) : isSpent(token, verify.error) ? (
        <SpentLink />
      ) : (
        <Stack gap="md">
          {verify.error && (
            <Alert color="red" variant="light" role="alert">
              {messageOf(verify.error)}
            </Alert>
          )}
          <Button size="md" fullWidth loading={verify.isPending} onClick={() => verify.mutate(token)}>
            Confirm
          </Button>
        </Stack>
      )}
    </AuthLayout>
  );
}
