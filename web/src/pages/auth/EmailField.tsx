import { TextInput } from '@mantine/core';

interface Props {
  value: string;
  onChange: (value: string) => void;
  error: string | null | undefined;
}

export function EmailField({ value, onChange, error }: Props) {
  return (
    <TextInput
      label="E-mail"
      type="email"
      name="email"
      size="md"
      autoComplete="email"
      autoCapitalize="none"
      spellCheck={false}
      autoFocus
      value={value}
      onChange={(event) => onChange(event.currentTarget.value)}
      error={error}
    />
  );
}
