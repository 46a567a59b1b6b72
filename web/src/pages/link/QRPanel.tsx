import { Anchor, Button, CopyButton, Group, List, Loader, Stack, Text, Title } from '@mantine/core';
import { useQueryClient } from '@tanstack/react-query';
import { IconCheck, IconCopy, IconExternalLink, IconFlask } from '@tabler/icons-react';
import { useEffect } from 'react';
import { keys } from '../../api/keys';
import type { QRCode } from '../../api/types';
import { useConfig } from '../../app/useConfig';
import classes from './LinkPage.module.css';
import { useSecondsUntil } from './useSecondsUntil';

/** How often an expired code is asked for again, should its successor not come by itself. */
const EXPIRED_POLL_MS = 2_000;

export function QRPanel({ qr }: { qr: QRCode }) {
  const { demo } = useConfig();
  const left = useSecondsUntil(qr.expires_at);
  const expired = left === 0;
  useRefetchWhile(expired);

  return (
    <div className={classes.columns}>
      <Stack gap="lg" flex={1}>
        <div>
          <Title order={1} fz={26} mb={6}>
            Link your WhatsApp
          </Title>
          <Text c="dimmed">Scan the code once. Your phone keeps working as before.</Text>
        </div>
        <List type="ordered" spacing="sm" className={classes.steps ?? ''}>
          <List.Item>
            Open <b>WhatsApp</b> on your phone
          </List.Item>
          <List.Item>
            Go to <b>Settings → Linked devices</b> and tap <b>Link a device</b>
          </List.Item>
          <List.Item>Point the camera at this code</List.Item>
        </List>
        {demo && <DemoHint qr={qr} />}
      </Stack>
      <Stack align="center" gap="sm">
        <div className={classes.frame} data-expired={expired}>
          <img className={classes.qr} src={qr.image} width={264} height={264} alt="QR code to link WhatsApp" />
          {expired && (
            <div className={classes.overlay} role="status">
              <Loader size="sm" />
              <Text size="sm" fw={600}>
                Getting a new code…
              </Text>
            </div>
          )}
        </div>
        <Text size="sm" c="dimmed" className={classes.tabular ?? ''}>
          {expired ? 'This code has expired' : `New code in ${left} s`}
        </Text>
      </Stack>
    </div>
  );
}

/** In demo mode there is no camera: the code is copied to the stand-in's phone page. */
function DemoHint({ qr }: { qr: QRCode }) {
  const { phoneURL } = useConfig();
  return (
    <div className={classes.hint} data-testid="qr-text" data-qr={qr.text}>
      <Group gap={8} wrap="nowrap" align="flex-start">
        <IconFlask size={19} aria-hidden className={classes.hintIcon} />
        <div>
          <Text size="sm" fw={600}>
            No phone needed in demo mode
          </Text>
          <Text size="sm">
            Copy the code. On the stand-in&rsquo;s phone page choose or make an account, press <b>Scan QR</b> and paste it.
          </Text>
          <Group gap="xs" mt="sm">
            <CopyButton value={qr.text}>
              {({ copied, copy }) => (
                <Button
                  size="xs"
                  onClick={copy}
                  leftSection={copied ? <IconCheck size={15} aria-hidden /> : <IconCopy size={15} aria-hidden />}
                >
                  {copied ? 'Copied' : 'Copy code'}
                </Button>
              )}
            </CopyButton>
            {phoneURL && (
              <Anchor href={phoneURL} target="_blank" rel="noreferrer" size="sm" c="inherit" underline="always">
                <Group gap={4} component="span" display="inline-flex">
                  Open the phone page <IconExternalLink size={14} aria-hidden />
                </Group>
              </Anchor>
            )}
          </Group>
        </div>
      </Group>
    </div>
  );
}

function useRefetchWhile(on: boolean) {
  const queryClient = useQueryClient();
  useEffect(() => {
    if (!on) return;
    const timer = setInterval(() => void queryClient.invalidateQueries({ queryKey: keys.whatsapp }), EXPIRED_POLL_MS);
    return () => clearInterval(timer);
  }, [on, queryClient]);
}
