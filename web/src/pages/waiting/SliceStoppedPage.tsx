import { Paper, Stack, Text, ThemeIcon, Title } from '@mantine/core';
import { IconPlayerPause, IconTool } from '@tabler/icons-react';
import { Header } from '../../components/Header';
import { useSliceEvents } from '../../session/useSliceEvents';
import classes from './waiting.module.css';

const TEXTS = {
  held: {
    icon: IconTool,
    title: 'Down for maintenance',
    text: 'We are working on your workspace. Your chats are safe, and messages that arrive meanwhile are fetched when it is back.',
  },
  suspended: {
    icon: IconPlayerPause,
    title: 'Your workspace is paused',
    text: 'It does not run at the moment. Your chats and your settings are kept.',
  },
};

/** The slice exists but was stopped; the gate above replaces this when it runs again. */
export function SliceStoppedPage({ state }: { state: 'held' | 'suspended' }) {
  useSliceEvents();
  const { icon: Icon, title, text } = TEXTS[state];
  return (
    <div className={classes.page}>
      <Header />
      <main className={classes.main}>
        <Paper className={classes.card} withBorder shadow="sm">
          <Stack align="center" gap="lg">
            <ThemeIcon size={84} radius={26} variant="light">
              <Icon size={42} stroke={1.5} aria-hidden />
            </ThemeIcon>
            <Title order={1} fz={25}>
              {title}
            </Title>
            <Text c="dimmed" maw={400}>
              {text}
            </Text>
            <Text size="sm" c="dimmed">
              This page changes by itself as soon as it runs again.
            </Text>
          </Stack>
        </Paper>
      </main>
    </div>
  );
}
