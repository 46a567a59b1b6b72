import { ActionIcon, Text, Textarea, Tooltip } from '@mantine/core';
import { IconSend2 } from '@tabler/icons-react';
import { useEffect, useRef, useState, type KeyboardEvent } from 'react';
import classes from './Composer.module.css';

interface Props {
  chatID: string;
  /** WhatsApp is not linked. */
  disabled: boolean;
  onSend: (text: string) => void;
}

// Texts that were begun, by chat: going to another chat does not lose them.
const drafts = new Map<string, string>();

export function Composer({ chatID, disabled, onSend }: Props) {
  const [text, setText] = useState(() => drafts.get(chatID) ?? '');
  const input = useRef<HTMLTextAreaElement>(null);
  const empty = text.trim() === '';

  useEffect(() => {
    // On a touch screen this would open the keyboard over the thread.
    if (window.matchMedia('(pointer: fine)').matches) input.current?.focus();
  }, []);

  const edit = (value: string) => {
    setText(value);
    if (value === '') drafts.delete(chatID);
    else drafts.set(chatID, value);
  };
  const send = () => {
    if (empty || disabled) return;
    onSend(text.trim());
    edit('');
    input.current?.focus();
  };
  const onKeyDown = (event: KeyboardEvent) => {
    // While an input method composes, Enter takes its suggestion.
    if (event.key !== 'Enter' || event.shiftKey || event.nativeEvent.isComposing) return;
    event.preventDefault();
    send();
  };

  return (
    <form
      className={classes.composer}
      onSubmit={(event) => {
        event.preventDefault();
        send();
      }}
    >
      {disabled && (
        <Text size="sm" c="dimmed" ta="center" pb={8} role="status">
          Link WhatsApp to send messages.
        </Text>
      )}
      <div className={classes.row}>
        <Textarea
          ref={input}
          aria-label="Message"
          placeholder="Type a message"
          autosize
          minRows={1}
          maxRows={7}
          radius={20}
          size="md"
          className={classes.input ?? ''}
          value={text}
          onChange={(event) => edit(event.currentTarget.value)}
          onKeyDown={onKeyDown}
        />
        <Tooltip label="Send (Enter)" openDelay={600}>
          <ActionIcon
            type="submit"
            size={42}
            radius="xl"
            aria-label="Send"
            disabled={empty || disabled}
            onMouseDown={(event) => event.preventDefault()} // the text field keeps the focus
          >
            <IconSend2 size={20} aria-hidden />
          </ActionIcon>
        </Tooltip>
      </div>
    </form>
  );
}
