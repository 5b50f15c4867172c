/* Runs a program in a console without a window, and does to it what the lines of standard input
 * say: what a user does with the keyboard. Its exit status is that of the program. */
#include <windows.h>
#include <stdio.h>
#include <string.h>

static HANDLE program;

static BOOL WINAPI stay(DWORD event) { return TRUE; }

static DWORD WINAPI keyboard(void *unused)
{
	char line[64];
	while (fgets(line, sizeof line, stdin)) {
		if (strncmp(line, "ctrl-c", 6) == 0)
			GenerateConsoleCtrlEvent(CTRL_C_EVENT, 0);
		else if (strncmp(line, "ctrl-break", 10) == 0)
			GenerateConsoleCtrlEvent(CTRL_BREAK_EVENT, 0);
		else if (strncmp(line, "kill", 4) == 0)
			TerminateProcess(program, 9);
	}
	TerminateProcess(program, 9); /* the test has ended */
	return 0;
}

int wmain(int argc, wchar_t **argv)
{
	wchar_t *command = GetCommandLineW();
	STARTUPINFOW start = { sizeof start };
	PROCESS_INFORMATION info;
	DWORD status;

	/* behind the name of this program, which has no blanks */
	command = wcschr(command, L' ');
	if (!command)
		return 125;
	start.hStdOutput = GetStdHandle(STD_OUTPUT_HANDLE); /* a new console would replace them */
	start.hStdError = GetStdHandle(STD_ERROR_HANDLE);
	FreeConsole();
	if (!AllocConsole())
		fprintf(stderr, "console: AllocConsole: %lu\n", GetLastError());
	SetConsoleCtrlHandler(stay, TRUE);
	start.dwFlags = STARTF_USESTDHANDLES;
	start.hStdInput = INVALID_HANDLE_VALUE;
	if (!CreateProcessW(NULL, command + 1, NULL, NULL, TRUE, 0, NULL, NULL, &start, &info)) {
		fprintf(stderr, "console: CreateProcess: %lu\n", GetLastError());
		return 126;
	}
	program = info.hProcess;
	CreateThread(NULL, 0, keyboard, NULL, 0, NULL);
	WaitForSingleObject(program, INFINITE);
	GetExitCodeProcess(program, &status);
	return status;
}
