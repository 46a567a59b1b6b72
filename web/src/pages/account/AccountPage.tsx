import { Container, Stack, Text, Title } from '@mantine/core';
import { Header } from '../../components/Header';
import { useUser } from '../../session/session';
import classes from './AccountPage.module.css';
import { DeleteAccount } from './DeleteAccount';
import { ExportData } from './ExportData';
import { Passkeys } from './Passkeys';

/** What users do with the account itself; it needs no slice. */
export function AccountPage() {
  const { user } = useUser();
  return (
    <div className={classes.page}>
      <Header />
      <Container component="main" size="sm" py="xl" w="100%">
        <Title order={1} mb={4}>
          Your account
        </Title>
        <Text c="dimmed" mb="lg">
          {user.email}
        </Text>
        <Stack gap="lg">
          <Passkeys />
          <ExportData />
          <DeleteAccount />
        </Stack>
      </Container>
    </div>
  );
}
