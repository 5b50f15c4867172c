/* What Go's runtime needs of bcryptprimitives.dll, which Wine 8 does not have. */
#include <windows.h>
#include <ntsecapi.h>

__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE buffer, SIZE_T size)
{
	while (size > 0) {
		ULONG n = size < 65536 ? (ULONG)size : 65536;
		if (!RtlGenRandom(buffer, n))
			return FALSE;
		buffer += n;
		size -= n;
	}
	return TRUE;
}
